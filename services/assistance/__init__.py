"""assistance: the catalogue of programmes and the ledger of aid actions (architecture.md)."""
