"""Targets 任务: how much is due from a unit in a period."""
