"""The audit log 审计日志: who changed or looked at what, and why; sealed into a chain (architecture rule 12)."""
