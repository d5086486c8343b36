"""``python -m services.registry``."""

from services.registry.app import build, load_reference_data
from services.registry.audit.command import verify_audit
from services.registry.keys.command import issue_key
from shared.server import main

if __name__ == "__main__":
    main("registry", build, {"verify-audit": verify_audit, "issue-key": issue_key}, fill=load_reference_data)
