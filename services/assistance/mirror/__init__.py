"""Mirror of registry: what assistance knows of divisions, households, persons and keys."""
