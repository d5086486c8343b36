"""Rebuilds what is derived from facts and the mirror, or checks that it is equal (architecture rule 6)."""
