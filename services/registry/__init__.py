"""The registry service: divisions, households and their members, API keys, statistics of the register."""
