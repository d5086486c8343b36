"""``python -m services.assistance``: see ``--help``."""

from services.assistance.app import build
from shared.server import main

if __name__ == "__main__":
    main("assistance", build)
