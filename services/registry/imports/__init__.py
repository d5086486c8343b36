"""Imports 导入: the register's files as clerks keep them, taken in as jobs that survive a restart and can be undone."""
