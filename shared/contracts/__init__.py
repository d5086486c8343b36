"""Event contracts: the only thing the services share about their domains.

A contract is owned by its publisher; a breaking change is a new ``.v2`` published beside ``.v1``
(interfaces.md, "Events").
"""
