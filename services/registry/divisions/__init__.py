"""Divisions 行政区划: the tree, who manages what, and dated designations."""
