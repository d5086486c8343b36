"""The HTTP edge: reading requests strictly, answering faults, idempotency, ETags, pages of a list."""
