"""Households 农户 and their members 家庭成员."""
