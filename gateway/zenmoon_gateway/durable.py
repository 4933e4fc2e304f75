"""Small files that survive a power cut: either the old content or the new, readable by their owner only."""

from __future__ import annotations

import os
from pathlib import Path

from zenmoon_gateway.errors import GatewayError, Reason


def make_folder(path: Path) -> None:
    """Creates a folder that only its owner can enter.

    Raises:
        GatewayError: `storage`.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise GatewayError(
            Reason.STORAGE, f"the folder {path} cannot be made ({error.strerror}). Next: check --home, or free space on the disk"
        ) from error


def write(path: Path, text: str) -> None:
    """Replaces a file's text, fsync'd before and after the renaming."""
    beside = path.with_name(path.name + ".new")
    replace(beside, path, text)
    if os.name == "posix":  # Windows cannot open a folder, and journals renames itself
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def replace(beside: Path, path: Path, text: str, *, sync: bool = True) -> None:
    """Writes `beside` and renames it to `path`: readers never see half a file."""
    handle = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)
