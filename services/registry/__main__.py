"""``python -m services.registry``."""

from services.registry.app import build, load_reference_data
from shared.server import main

if __name__ == "__main__":
    main("registry", build, fill=load_reference_data)
