"""Retention 保存期 of what is kept beside the register: deleted by a job once its days are over."""
