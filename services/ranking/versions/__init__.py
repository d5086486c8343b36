"""Live versions: a number per live thing, raised in the transaction that changes it (architecture rule 11)."""
