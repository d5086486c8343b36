"""Facts 事实 and counters: what tables and notices are derived from (architecture rules 5 and 6)."""
