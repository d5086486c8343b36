"""Statistics of the register 统计."""
