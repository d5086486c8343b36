"""The DCI social-registry interface (SPDCI 1.0.0): search, subscriptions and status, signed both ways (dci.md)."""
