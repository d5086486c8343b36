"""``python -m services.registry``."""

from services.registry.app import build, load_reference_data
from services.registry.audit.command import verify_audit
from shared.server import main

if __name__ == "__main__":
    main("registry", build, {"verify-audit": verify_audit}, fill=load_reference_data)
