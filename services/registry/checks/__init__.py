"""The rule catalogue 规则目录: every check of the register under a stable code (domain.md 1.4 and 1.5)."""
