"""Indicators 指标 and rule sets 评分规则: named ratios, and their dated weights (ranking.md, "Score")."""
