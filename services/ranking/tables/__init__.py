"""League tables 评比排名: live, explained to the last term (ranking.md)."""
