"""Catalogue of programmes 帮扶项目: what may be recorded, for whom, where and since when."""
