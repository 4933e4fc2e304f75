"""Builds kept in one folder, each beside the recipe it was made by: what has not changed is not built again."""

import contextlib
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from micropython_source import Log, ToolchainError

Make = Callable[[Path, Path, Log], Mapping[str, Any]]
"""Makes a build: (work folder, folder for the results, log) → what is to be known about the result."""


def recipe_of(*parts: object) -> str:
    """A hash over everything that decides what comes out of a build."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def content_of(*files: Path) -> str:
    """SHA-256 over the contents of files."""
    total = hashlib.sha256()
    for file in files:
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def compiler_id(name: str) -> str | None:
    """Which compiler answers to a name, with its version; None where none does."""
    path = shutil.which(name)
    if path is None:
        return None
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolchainError(f"{path} does not say its version: {error}") from None
    return " ".join([path, *said.splitlines()[:1]])


class BuildStore:
    """The folder.

    Args:
        folder: Made when the first build is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def about(self, name: str) -> dict[str, Any]:
        """What is known about a kept build; empty where there is none."""
        try:
            about = json.loads((self.folder / name / "build.json").read_text())
        except (OSError, ValueError):
            return {}
        return about if isinstance(about, dict) else {}

    def has(self, name: str, recipe: str, *files: str) -> bool:
        """Whether this build, with these files, is there."""
        return self.about(name).get("key") == recipe and all((self.folder / name / file).is_file() for file in files)

    @contextlib.contextmanager
    def alone(self) -> Iterator[Log]:
        """Waits until no other process builds here; gives the log."""
        import fcntl  # noqa: PLC0415 - not on Windows, where nothing is built

        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "toolchain.log").open("a") as file, (self.folder / "lock").open("w") as lock:
            log = Log(file)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                log.stage("another build is under way, waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield log

    def keep(self, name: str, recipe: str, make: Make, log: Log) -> None:
        """Makes a build and puts it in place at once; one that fails leaves what was there. Call it `alone`."""
        with tempfile.TemporaryDirectory(prefix="building-", dir=self.folder) as temporary:
            work = Path(temporary)
            result = work / "result"
            result.mkdir()
            about = {"key": recipe, **make(work, result, log)}
            (result / "build.json").write_text(json.dumps(about, indent=1) + "\n")
            kept = self.folder / name
            kept.parent.mkdir(parents=True, exist_ok=True)
            if kept.exists():
                kept.rename(work / "previous")
            result.rename(kept)
