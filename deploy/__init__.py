"""How Bangfu is run: the command line and the embedded stack of one machine."""
