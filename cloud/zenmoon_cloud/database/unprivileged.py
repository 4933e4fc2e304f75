"""PostgreSQL refuses to run as root: pick a system user for it and find out what that user can reach."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple, TypedDict

from zenmoon_cloud.errors import CloudError

# In this order; `nobody` comes last because other software shares it.
CANDIDATES = ("zenmoon", "postgres", "nobody")


class Account(NamedTuple):
    """A system user that a server is run as."""

    name: str
    uid: int
    gid: int


class ProcessUser(TypedDict, total=False):
    """The part of `subprocess`'s arguments that changes the user."""

    user: int
    group: int
    extra_groups: list[int]


def server_account() -> Account | None:
    """Return the user that PostgreSQL runs as: None for the present user, an unprivileged one for root.

    Raises:
        CloudError: ``no-account`` when root has no unprivileged user and none can be created.
    """
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    creator = shutil.which("useradd")
    if creator:
        command = [creator, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", CANDIDATES[0]]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            entry = pwd.getpwnam(CANDIDATES[0])
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise CloudError(
        "no-account",
        "PostgreSQL does not run as root and this system has no unprivileged user for it. "
        f"Create one (`useradd --system {CANDIDATES[0]}`) or start ZenMoon as an ordinary user.",
    )


def as_user(account: Account | None) -> ProcessUser:
    """Return the `subprocess` arguments that run a program as `account`."""
    return {"user": account.uid, "group": account.gid, "extra_groups": []} if account else {}


def reachable(path: Path, account: Account) -> bool:
    """Tell whether `account` may enter the folder or execute the file at `path`.

    It asks the kernel by trying, because mode bits alone say nothing of access lists and mounts.
    """
    test = subprocess.run(["/bin/sh", "-c", 'test -x "$0"', str(path)], check=False, cwd="/", **as_user(account))
    return test.returncode == 0
