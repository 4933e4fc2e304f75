"""Gets MicroPython's desktop port and everything else that is compiled here: finds it, or fetches the source and builds it.

    python tools/toolchain.py [--source FOLDER]      prints the path of the interpreter; progress goes to stderr

Where the interpreter comes from, in this order: the one named by ZENMOON_MICROPYTHON; the source folder named by `--source` or
ZENMOON_MICROPYTHON_SOURCE; what an earlier call built; Debian's source package, fetched with an apt configuration of its own that
takes mirror and keyring from this machine's (no root, nothing installed); the upstream tag by git, else by HTTPS. What is fetched
is pinned by SHA-256 and kept. Builds are kept in `.toolchain/`; the interpreter is always `.toolchain/micropython/micropython`.

Beside it come the TinyLSTM kernel in all its forms (`.toolchain/native/`) and the firmware of emulated boards
(`.toolchain/qemu-*/firmware.elf`), each where its compiler is installed. What cannot be built is named once, with the command
that helps, and stops nothing.

Exit status: 0, or 3 where neither an interpreter nor a way to build one could be had; the message names the next action.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any

import ports
from build_store import BuildStore, recipe_of
from extras import Extra, extras
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

ROOT = Path(__file__).resolve().parent.parent
KEPT_SOURCE = f"source-{VERSION}"
KEPT_PORT = f"micropython-{VERSION}"


def require_compiler() -> None:
    """Raises ToolchainError where make or a C compiler is absent."""
    missing = [name for name in ("make", "cc") if shutil.which(name) is None]
    if missing:
        raise ToolchainError(
            f"MicroPython has to be compiled, but {' and '.join(missing)} cannot be found. Install them (Debian, Ubuntu: "
            "`apt install build-essential`; Fedora: `dnf install gcc make`; macOS: `xcode-select --install`), or name a "
            f"MicroPython {VERSION} in ZENMOON_MICROPYTHON."
        )


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
    """What is built, kept in one folder.

    Args:
        folder: Where it is kept; `.toolchain` of this checkout.
        source: A source tree to build instead of a fetched one.
        sources: Where to fetch from, by name, in order.
    """

    def __init__(
        self, folder: Path = ROOT / ".toolchain", *, source: Path | None = None, sources: Sequence[tuple[str, Fetch]] = SOURCES
    ) -> None:
        self.folder = folder
        self.source = source
        self.sources = sources
        self.store = BuildStore(folder)
        self._refused: ToolchainError | None = None

    def micropython(self) -> Path:
        """Gives the interpreter, built if need be. Raises ToolchainError."""
        if named := os.environ.get("ZENMOON_MICROPYTHON"):
            return require_working(Path(named))
        recipe = recipe_of(self._source_id(), ports.MANIFEST, ports.SETTINGS, platform.system(), platform.machine())
        programs = ("micropython", "mpy-cross")
        if not self.store.has(KEPT_PORT, recipe, *programs):
            with self.store.alone() as log:
                if not self.store.has(KEPT_PORT, recipe, *programs):
                    require_compiler()
                    self.store.keep(KEPT_PORT, recipe, self._make_micropython, log)
                log.stage(f"MicroPython {VERSION} is ready")
        for name in programs:
            self._publish(self.folder / KEPT_PORT / name, self.folder / "micropython" / name)
        return self.folder / "micropython" / "micropython"

    def extras(self) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
        """Builds everything else that can be built here.

        Returns:
            What is known about each build, and for each that is not there why and what to do about it; by name.
        """
        there: dict[str, dict[str, Any]] = {}
        absent: dict[str, str] = {}
        for extra in extras():
            why = extra.absent or (self._why_no_source() if extra.needs_source else None)
            if why is None:
                try:
                    self._extra(extra)
                except ToolchainError as error:
                    why = str(error)
            if why is None:
                about = self.store.about(extra.name)
                there[extra.name] = {name: value for name, value in about.items() if name != "key"}
            else:
                absent[extra.name] = why
        return there, absent

    def _extra(self, extra: Extra) -> None:
        recipe = recipe_of(extra.recipe, self._source_id() if extra.needs_source else None)
        if not self.store.has(extra.name, recipe, extra.file):
            with self.store.alone() as log:

                def make(work: Path, result: Path, log: Log) -> Mapping[str, Any]:
                    source = self._source(log) if extra.needs_source else work
                    with self._building(extra.name):
                        return extra.make(source, work, result, log)

                if not self.store.has(extra.name, recipe, extra.file):
                    self.store.keep(extra.name, recipe, make, log)
        if extra.published:
            self._publish(self.folder / extra.name / extra.file, self.folder / extra.published)

    def _make_micropython(self, work: Path, result: Path, log: Log) -> Mapping[str, Any]:
        source = self._source(log)
        with self._building("MicroPython"):
            ports.build_desktop(ports.copy_of(source, work / "source"), work, result, log)
        require_working(result / "micropython")
        return {"version": VERSION}

    @contextlib.contextmanager
    def _building(self, what: str) -> Iterator[None]:
        try:
            yield
        except (SourceUnavailableError, OSError) as error:
            raise ToolchainError(f"The build of {what} failed: {error}. See {self.folder / 'toolchain.log'}.") from None

    def _source_id(self) -> str:
        return digest(self.source) if self.source else ORIG_SHA256

    def _why_no_source(self) -> str | None:
        """A named interpreter is a wish to fetch nothing."""
        if os.environ.get("ZENMOON_MICROPYTHON") and not self.source and not self._has_source():
            return "it needs MicroPython's source, which is not fetched while ZENMOON_MICROPYTHON names an interpreter"
        return None

    def _has_source(self) -> bool:
        return self.store.has(KEPT_SOURCE, recipe_of(ORIG_SHA256, TREES))

    def _source(self, log: Log) -> Path:
        """The source tree, fetched if need be; nobody writes there."""
        if self.source:
            return self.source
        if self._refused:
            raise self._refused
        if not self._has_source():
            try:
                self.store.keep(KEPT_SOURCE, recipe_of(ORIG_SHA256, TREES), self._fetch, log)
            except ToolchainError as error:
                self._refused = error
                raise
        return self.folder / KEPT_SOURCE

    def _fetch(self, work: Path, result: Path, log: Log) -> Mapping[str, Any]:
        refused = []
        for name, fetch in self.sources:
            try:
                ports.copy_of(fetch(work, log), result)
            except SourceUnavailableError as error:
                log.stage(f"{name}: {error}")
                refused.append(f"{name}: {error}")
            else:
                return {"version": VERSION, "origin": name}
        raise ToolchainError(
            f"MicroPython's source cannot be had here ({'; '.join(refused)}). Connect to a network, or unpack the source of "
            f"MicroPython {VERSION} and name its folder with --source, or name an interpreter in ZENMOON_MICROPYTHON."
        )

    def _publish(self, kept: Path, published: Path) -> None:
        if published.exists() and published.stat().st_mtime_ns == kept.stat().st_mtime_ns:
            return
        published.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="publishing-", dir=self.folder) as temporary:
            Path(shutil.copy2(kept, temporary)).replace(published)


def _opened(folder: Path) -> Toolchain:
    named = os.environ.get("ZENMOON_MICROPYTHON_SOURCE")
    return Toolchain(folder, source=Path(named).resolve() if named else None)


def micropython(folder: Path = ROOT / ".toolchain") -> Path | None:
    """The desktop interpreter, built if need be, or None where it cannot be had; the reason is then on stderr."""
    try:
        return _opened(folder).micropython()
    except ToolchainError as error:
        print(error, file=sys.stderr)
    except (OSError, HTTPException, tarfile.TarError) as error:
        print(
            f"MicroPython cannot be had here: {error}. Free space on the disk, check who owns {folder}, try again.", file=sys.stderr
        )
    return None


def build_extras(folder: Path = ROOT / ".toolchain") -> None:
    """Builds the kernel and the emulated boards' firmware where that is possible, and says what has changed since the last call."""
    try:
        there, absent = _opened(folder).extras()
        report = folder / "extras.json"
        before = json.loads(report.read_text()) if report.is_file() else {}
        now = {"built": there, "absent": absent}
        if now == before:
            return
        for name, about in there.items():
            if about != before.get("built", {}).get(name):
                code = f" (code {about['text_bytes']:,} bytes)" if "text_bytes" in about else ""
                print(f"{name}/{about['file']}: {about['bytes']:,} bytes{code}", file=sys.stderr)
        for name, why in absent.items():
            print(f"{name} is not built: {why}", file=sys.stderr)
        report.write_text(json.dumps(now, indent=1) + "\n")
    except (ToolchainError, OSError, ValueError, HTTPException, tarfile.TarError) as error:
        print(f"The kernel cannot be built here: {error}. The portable engine runs instead.", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="toolchain.py", description=f"Gets MicroPython {VERSION} for this machine.")
    parser.add_argument("--source", type=Path, help=f"a folder with the source of MicroPython {VERSION}")
    parser.add_argument("--folder", type=Path, default=ROOT / ".toolchain", help="where builds are kept (default: .toolchain)")
    options = parser.parse_args(arguments)
    if options.source:
        os.environ["ZENMOON_MICROPYTHON_SOURCE"] = str(options.source.resolve())
    folder = options.folder.resolve()
    interpreter = micropython(folder)
    build_extras(folder)
    if interpreter is None:
        return 3
    print(interpreter)
    return 0


if __name__ == "__main__":
    sys.exit(main())
