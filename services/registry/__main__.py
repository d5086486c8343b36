"""``python -m services.registry``."""

from services.registry.app import build, load_reference_data
from services.registry.audit.command import verify_audit
from services.registry.keys.command import issue_key
from services.registry.rotation.command import rotate_keys
from services.registry.submissions.command import new_submission_key
from shared.server import main

COMMANDS = {
    "verify-audit": verify_audit,
    "issue-key": issue_key,
    "rotate-keys": rotate_keys,
    "new-submission-key": new_submission_key,
}

if __name__ == "__main__":
    main("registry", build, COMMANDS, fill=load_reference_data)
