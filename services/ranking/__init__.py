"""Ranking 排名通报: facts, counters, league tables and notices (ranking.md)."""
