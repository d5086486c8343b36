"""What of the register may be published 公示公开: names of heads, masked, and counts (domain.md 8)."""
