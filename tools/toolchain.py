"""Gets MicroPython's desktop port: finds it, or fetches its source and builds it.

    python tools/toolchain.py [--source FOLDER]      prints the path of the interpreter; progress goes to stderr

Where it comes from, in this order: the interpreter named by ZENMOON_MICROPYTHON; the source folder named by `--source` or
ZENMOON_MICROPYTHON_SOURCE; what an earlier call built; Debian's source package, fetched with an apt configuration of its own that
takes mirror and keyring from this machine's (no root, nothing installed); the upstream tag by git, else by HTTPS. What is fetched
is pinned by SHA-256. Builds are kept in `.toolchain/`; the interpreter is always `.toolchain/micropython/micropython`.

Exit status: 0, or 3 where neither an interpreter nor a way to build one could be had; the message names the next action.
"""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import TextIO

from micropython_source import (
    ORIG_SHA256,
    SOURCES,
    TREES,
    VERSION,
    Fetch,
    Log,
    SourceUnavailableError,
    ToolchainError,
    digest,
)

MANIFEST = 'include("$(MPY_DIR)/extmod/asyncio")\n'
SETTINGS = ("VARIANT=standard", "MICROPY_PY_SSL=0", "MICROPY_PY_BTREE=0", "MICROPY_PY_FFI=0")
BUILD_TIMEOUT_S = 1200  # 22 s on two cores; an emulated or very small machine is fifty times slower

ROOT = Path(__file__).resolve().parent.parent


def require_compiler() -> None:
    """Raises ToolchainError where make or a C compiler is absent."""
    missing = [name for name in ("make", "cc") if shutil.which(name) is None]
    if missing:
        raise ToolchainError(
            f"MicroPython has to be compiled, but {' and '.join(missing)} cannot be found. Install them (Debian, Ubuntu: "
            "`apt install build-essential`; Fedora: `dnf install gcc make`; macOS: `xcode-select --install`), or name a "
            f"MicroPython {VERSION} in ZENMOON_MICROPYTHON."
        )


def build(tree: Path, work: Path, log: Log) -> Path:
    """Compiles mpy-cross and the desktop port in `tree`; gives a folder with both programs."""
    library = work / "library"
    library.mkdir()
    (library / "README.md").touch()  # what the Makefile looks for to believe that micropython-lib is there; nothing of it is used
    manifest = work / "manifest.py"
    manifest.write_text(MANIFEST)
    jobs = f"-j{min(os.cpu_count() or 1, 4)}"
    log.stage("compiling mpy-cross")
    log.run(["make", jobs, "-C", "mpy-cross"], folder=tree, timeout_s=BUILD_TIMEOUT_S)
    log.stage("compiling the desktop port")
    settings = [*SETTINGS, f"MPY_LIB_DIR={library}", f"FROZEN_MANIFEST={manifest}"]
    log.run(["make", jobs, "-C", "ports/unix", *settings], folder=tree, timeout_s=BUILD_TIMEOUT_S)
    programs = work / "programs"
    programs.mkdir()
    shutil.copy2(tree / "ports/unix/build-standard/micropython", programs)
    shutil.copy2(tree / "mpy-cross/build/mpy-cross", programs)
    return programs


def require_working(interpreter: Path) -> Path:
    """Gives the interpreter back if it runs as MicroPython of the expected version; raises ToolchainError."""
    probe = "import sys, asyncio; print(sys.implementation[0], '.'.join(str(part) for part in sys.implementation[1][:3]))"
    try:
        answer = subprocess.run([interpreter, "-c", probe], capture_output=True, text=True, timeout=30, check=False)
        said = answer.stdout.strip() or answer.stderr.strip()[-200:]
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    if said != f"micropython {VERSION}":
        raise ToolchainError(f"{interpreter} is not MicroPython {VERSION} with asyncio; it says: {said!r}")
    return interpreter


class Toolchain:
    """The interpreters kept in one folder.

    Args:
        folder: Where they are kept; `.toolchain` of this checkout.
        source: A source tree to build instead of a fetched one.
        sources: Where to fetch from, by name, in order.
    """

    def __init__(
        self, folder: Path = ROOT / ".toolchain", *, source: Path | None = None, sources: Sequence[tuple[str, Fetch]] = SOURCES
    ) -> None:
        self.folder = folder
        self.source = source
        self.sources = sources

    def micropython(self) -> Path:
        """Gives the interpreter, built if need be. Raises ToolchainError."""
        if named := os.environ.get("ZENMOON_MICROPYTHON"):
            return require_working(Path(named))
        recipe = json.dumps([self._source_id(), MANIFEST, SETTINGS, platform.system(), platform.machine()])
        key = hashlib.sha256(recipe.encode()).hexdigest()
        kept = self.folder / f"micropython-{VERSION}"
        interpreter = self.folder / "micropython" / "micropython"
        if self._has(kept, key):
            return self._publish(kept, interpreter)
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "toolchain.log").open("a") as file, self._alone(file) as log:
            if not self._has(kept, key):
                self._make(kept, key, log)
            log.stage(f"MicroPython {VERSION} is ready")
        return self._publish(kept, interpreter)

    def _source_id(self) -> str:
        return digest(self.source) if self.source else ORIG_SHA256

    @staticmethod
    def _has(kept: Path, key: str) -> bool:
        try:
            return json.loads((kept / "build.json").read_text())["key"] == key and (kept / "micropython").is_file()
        except (OSError, ValueError, KeyError):
            return False

    @contextlib.contextmanager
    def _alone(self, file: TextIO) -> Iterator[Log]:
        import fcntl  # noqa: PLC0415 - not on Windows, where the desktop port is not built

        log = Log(file)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                log.stage("another build is under way, waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield log

    def _make(self, kept: Path, key: str, log: Log) -> None:
        require_compiler()
        with tempfile.TemporaryDirectory(prefix="building-", dir=self.folder) as temporary:
            work = Path(temporary)
            origin, tree = self._fetch(work, log)
            try:
                programs = build(tree, work, log)
            except SourceUnavailableError as error:
                raise ToolchainError(f"The build of {origin} failed: {error}. See {self.folder / 'toolchain.log'}.") from None
            require_working(programs / "micropython")
            (programs / "build.json").write_text(json.dumps({"key": key, "version": VERSION, "source": origin}))
            if kept.exists():
                kept.rename(work / "previous")
            programs.rename(kept)

    def _fetch(self, work: Path, log: Log) -> tuple[str, Path]:
        if self.source:
            log.stage(f"copying {self.source}")
            ignored = shutil.ignore_patterns("build", "build-*")
            for name in TREES:
                shutil.copytree(self.source / name, work / "source" / name, symlinks=True, ignore=ignored)
            return str(self.source), work / "source"
        refused = []
        for name, fetch in self.sources:
            try:
                return name, fetch(work, log)
            except SourceUnavailableError as error:
                log.stage(f"{name}: {error}")
                refused.append(f"{name}: {error}")
        raise ToolchainError(
            f"MicroPython's source cannot be had here ({'; '.join(refused)}). Connect to a network, or unpack the source of "
            f"MicroPython {VERSION} and name its folder with --source, or name an interpreter in ZENMOON_MICROPYTHON."
        )

    @staticmethod
    def _publish(kept: Path, interpreter: Path) -> Path:
        for name in ("micropython", "mpy-cross"):
            published = interpreter.with_name(name)
            if published.exists() and published.stat().st_mtime_ns == (kept / name).stat().st_mtime_ns:
                continue
            interpreter.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="publishing-", dir=kept.parent) as temporary:
                Path(shutil.copy2(kept / name, temporary)).replace(published)
        return interpreter


def micropython(folder: Path = ROOT / ".toolchain") -> Path | None:
    """The desktop interpreter, built if need be, or None where it cannot be had; the reason is then on stderr."""
    try:
        named = os.environ.get("ZENMOON_MICROPYTHON_SOURCE")
        return Toolchain(folder, source=Path(named).resolve() if named else None).micropython()
    except ToolchainError as error:
        print(error, file=sys.stderr)
    except (OSError, HTTPException, tarfile.TarError) as error:
        print(
            f"MicroPython cannot be had here: {error}. Free space on the disk, check who owns {folder}, try again.", file=sys.stderr
        )
    return None


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="toolchain.py", description=f"Gets MicroPython {VERSION} for this machine.")
    parser.add_argument("--source", type=Path, help=f"a folder with the source of MicroPython {VERSION}")
    parser.add_argument("--folder", type=Path, default=ROOT / ".toolchain", help="where builds are kept (default: .toolchain)")
    options = parser.parse_args(arguments)
    if options.source:
        os.environ["ZENMOON_MICROPYTHON_SOURCE"] = str(options.source.resolve())
    interpreter = micropython(options.folder.resolve())
    if interpreter is None:
        return 3
    print(interpreter)
    return 0


if __name__ == "__main__":
    sys.exit(main())
