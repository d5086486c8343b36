"""What of the register may be published 公示公开: names of heads, masked, counts, notices (domain.md 8)."""
