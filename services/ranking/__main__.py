"""``python -m services.ranking``: see ``--help``."""

from services.ranking.app import build
from services.ranking.rebuilding.command import rebuild
from shared.server import main

if __name__ == "__main__":
    main("ranking", build, {"rebuild": rebuild})
