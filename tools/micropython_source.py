"""Where MicroPython's source comes from: Debian's source package, or the upstream tag. What is fetched is pinned by SHA-256."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

VERSION = "1.26.1"
DEBIAN_VERSION = f"{VERSION}+ds-1"
DEBIAN_SUITES = "trixie sid"
ORIG_NAME = f"micropython_{VERSION}+ds.orig.tar.xz"
ORIG_SHA256 = "f5ad2ec89d3e921f753d448955af98b6005655f84ba26087dde6ba0e8d062f34"
UPSTREAM = "https://github.com/micropython/micropython"

# What the build reads. Debian's archive leaves out one firmware image of another port, so these are the same in both sources.
TREES = (
    "py",
    "extmod",
    "shared",
    "mpy-cross",
    "tools",
    "ports/unix",
    "ports/qemu",
    "lib/crypto-algorithms",
    "lib/libm",
    "lib/littlefs",
    "lib/mbedtls_errors",
    "lib/oofatfs",
    "lib/re1.5",
    "lib/uzlib",
)
TREES_SHA256 = "e07c1fafe4c2890b59eb370099d29fe043fc709031d2e49c44318dbbeda66624"
FETCH_TIMEOUT_S = 300


class ToolchainError(Exception):
    """No interpreter. The message says why and what to do about it."""


class SourceUnavailableError(ToolchainError):
    """One source cannot be had here; the next one is tried."""


class Archive(NamedTuple):
    """A Debian archive this machine already trusts."""

    uri: str
    signed_by: str | None


def archives_deb822(text: str) -> list[Archive]:
    """The enabled package archives of a `*.sources` file (deb822), in order."""
    found = []
    for stanza in re.split(r"\n\s*\n", "\n".join(line for line in text.splitlines() if not line.startswith("#"))):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1].isspace() and name:
                fields[name] += " " + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        keyring = fields.get("signed-by", "")
        # A keyring in the file itself is left to apt's trusted ones.
        found += [Archive(uri, keyring if keyring.startswith("/") else None) for uri in fields.get("uris", "").split()]
    return found


def archives_one_line(text: str) -> list[Archive]:
    """The package archives of a `sources.list` file (one line each), in order."""
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+\S+", line)
        if match:
            keyring = re.search(r"(?:^|\s)signed-by=(/[^\s,]+)", match["options"] or "")
            found.append(Archive(match["uri"], keyring[1] if keyring else None))
    return found


def debian_archive(apt_folder: Path) -> Archive | None:
    """The first general archive (not security, not a third party's) in apt's own configuration."""
    parts = apt_folder / "sources.list.d"
    found: list[Archive] = []
    for path in sorted(parts.glob("*.sources")) if parts.is_dir() else []:
        found += archives_deb822(path.read_text(errors="replace"))
    for path in [apt_folder / "sources.list", *(sorted(parts.glob("*.list")) if parts.is_dir() else [])]:
        if path.is_file():
            found += archives_one_line(path.read_text(errors="replace"))
    general = [archive for archive in found if archive.uri.rstrip("/").endswith("/debian")]
    return general[0] if general else None


class Log:
    """Progress for the reader, everything else for the log file."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self._started = time.monotonic()

    def stage(self, text: str) -> None:
        """Writes one line of progress with the seconds since the start."""
        line = f"[{time.monotonic() - self._started:5.1f} s] {text}"
        print(line, file=sys.stderr, flush=True)
        print(line, file=self.file, flush=True)

    def run(self, command: Sequence[str], *, folder: Path, timeout_s: float, environment: dict[str, str] | None = None) -> str:
        """Runs a command with its output in the log, and gives that output.

        Raises:
            SourceUnavailableError: the command is absent, fails or takes too long.
        """
        print("$", *command, file=self.file, flush=True)
        begin = self.file.seek(0, os.SEEK_END)
        try:
            subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=self.file,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=True,
            )
        except FileNotFoundError:
            raise SourceUnavailableError(f"{command[0]} is not installed") from None
        except subprocess.CalledProcessError as error:
            raise SourceUnavailableError(f"{Path(command[0]).name} failed with status {error.returncode}") from None
        except subprocess.TimeoutExpired:
            raise SourceUnavailableError(f"{Path(command[0]).name} took more than {timeout_s:.0f} s") from None
        with Path(self.file.name).open(errors="replace") as written:
            written.seek(begin)
            return written.read()


def digest(tree: Path) -> str:
    """SHA-256 over the names and contents of the files the build reads."""
    total = hashlib.sha256()
    for name in TREES:
        if not (tree / name).is_dir():
            raise SourceUnavailableError(f"{tree} is not MicroPython's source: it has no {name}")
        for path in sorted(path for path in (tree / name).rglob("*") if path.is_file() and "build" not in _stems(path, tree)):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{path.relative_to(tree).as_posix()} {content}\n".encode())
    return total.hexdigest()


def _stems(path: Path, tree: Path) -> list[str]:
    return [part.partition("-")[0] for part in path.relative_to(tree).parts[:-1]]


def unpack(archive: Path, into: Path) -> Path:
    """Unpacks the needed folders of a source archive; gives the tree."""
    with tarfile.open(archive) as packed:
        members = [
            member
            for member in packed
            if "/" in member.name and any((member.name.split("/", 1)[1] + "/").startswith(name + "/") for name in TREES)
        ]
        if not members:
            raise SourceUnavailableError(f"{archive.name} holds no MicroPython source")
        if any(member.name.startswith("/") or ".." in member.name.split("/") for member in members):
            raise SourceUnavailableError(f"{archive.name} would unpack outside its folder")
        # Python 3.11.4 brought the filter, and Debian 12 has 3.11.2.
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        packed.extractall(into, members, **safely)  # type: ignore[arg-type]  # noqa: S202 - names were checked
    return into / members[0].name.split("/", 1)[0]


def from_debian(work: Path, log: Log, *, apt_folder: Path = Path("/etc/apt")) -> Path:
    """Fetches Debian's source package through an apt of its own; gives the unpacked tree."""
    if shutil.which("apt-get") is None:
        raise SourceUnavailableError("apt-get is not installed")
    archive = debian_archive(apt_folder)
    if archive is None:
        raise SourceUnavailableError("apt is not set up for a Debian archive")
    apt = work / "apt"
    for folder in ("sources", "lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True)
    lines = ["Types: deb-src", f"URIs: {archive.uri}", f"Suites: {DEBIAN_SUITES}", "Components: main"]
    if archive.signed_by:
        lines.append(f"Signed-By: {archive.signed_by}")
    (apt / "sources" / "debian.sources").write_text("\n".join(lines) + "\n")
    configuration = apt / "apt.conf"
    configuration.write_text(
        f'Dir::Etc::SourceList "/dev/null";\nDir::Etc::SourceParts "{apt}/sources";\n'
        f'Dir::State::Lists "{apt}/lists";\nDir::Cache "{apt}/cache";\nAcquire::Languages "none";\n'
        "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
    )
    log.stage("fetching Debian's source package")
    environment = {"APT_CONFIG": str(configuration)}
    log.run(["apt-get", "update"], folder=apt, timeout_s=FETCH_TIMEOUT_S, environment=environment)
    log.run(
        ["apt-get", "source", "--download-only", f"micropython={DEBIAN_VERSION}"],
        folder=apt,
        timeout_s=FETCH_TIMEOUT_S,
        environment=environment,
    )
    original = apt / ORIG_NAME
    if not original.is_file():
        raise SourceUnavailableError(f"apt did not deliver {ORIG_NAME}")
    if (found := hashlib.sha256(original.read_bytes()).hexdigest()) != ORIG_SHA256:
        raise SourceUnavailableError(f"{ORIG_NAME} is not the pinned one: its SHA-256 is {found}")
    return unpack(original, work / "debian")


def from_git(work: Path, log: Log) -> Path:
    """Clones the upstream tag."""
    if shutil.which("git") is None:
        raise SourceUnavailableError("git is not installed")
    log.stage(f"cloning the upstream tag v{VERSION}")
    clone = ["git", "-c", "core.autocrlf=false", "clone", "--quiet", "--depth", "1", "--branch", f"v{VERSION}", f"{UPSTREAM}.git"]
    log.run([*clone, "upstream"], folder=work, timeout_s=FETCH_TIMEOUT_S, environment={"GIT_TERMINAL_PROMPT": "0"})
    return _pinned(work / "upstream")


def from_https(work: Path, log: Log) -> Path:
    """Downloads the upstream tag as an archive."""
    log.stage(f"downloading the upstream archive v{VERSION}")
    packed = work / "upstream.tar.gz"
    try:
        with urllib.request.urlopen(f"{UPSTREAM}/archive/refs/tags/v{VERSION}.tar.gz", timeout=30) as answer:  # noqa: S310 - the scheme is https
            packed.write_bytes(answer.read())
    except OSError as error:
        raise SourceUnavailableError(f"the download failed: {error}") from None
    return _pinned(unpack(packed, work / "https"))


def _pinned(tree: Path) -> Path:
    if (found := digest(tree)) != TREES_SHA256:
        raise SourceUnavailableError(f"the upstream source is not the pinned one: its digest is {found}")
    return tree


Fetch = Callable[[Path, Log], Path]
SOURCES: tuple[tuple[str, Fetch], ...] = (
    ("Debian's source package", from_debian),
    ("upstream by git", from_git),
    ("upstream by HTTPS", from_https),
)
