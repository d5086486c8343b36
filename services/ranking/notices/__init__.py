"""The daily notice 日通报 (ranking.md, "Faces")."""
