"""``python -m services.registry``."""

from services.registry.app import build
from shared.server import main

if __name__ == "__main__":
    main("registry", build)
