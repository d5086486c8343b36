"""The demonstrations of product.md as scripts against a running stack."""
