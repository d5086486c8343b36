"""Years whose figures are locked 年度数据锁定."""
