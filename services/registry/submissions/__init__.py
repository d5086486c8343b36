"""Households that other systems submit through Kafka, identities encrypted to us (architecture rule 8)."""
