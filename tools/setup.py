"""Sets up the one environment: `python3.11 tools/setup.py {demo,test,train}`.

Each step says what it does and how long it took; a step whose inputs have not changed since it last succeeded is not repeated.
Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import web_assets

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PACKAGES = ("edge_sdk", "gateway", "cloud", "models")
LEVELS = {"demo": ("demo",), "test": ("demo", "test"), "train": ("demo", "test", "train")}


def requirements(level: str) -> list[str]:
    """The arguments of pip for a level, from [dependency-groups] of the root pyproject.toml."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    arguments: list[str] = []
    for name in LEVELS[level]:
        for requirement in groups[name]:
            folder, bracket, extras = requirement.partition("[")
            if folder in PACKAGES:
                arguments += ["-e", f"./{folder}{bracket}{extras}"]
            else:
                arguments.append(requirement)
    return arguments


def fingerprint(level: str) -> str:
    """A hash over everything that decides what the environment holds."""
    digest = hashlib.sha256(sys.version.encode() + level.encode())
    for file in [ROOT / "pyproject.toml", constraints(level), *(ROOT / name / "pyproject.toml" for name in PACKAGES)]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def constraints(level: str) -> Path:
    """The pinned versions of a level."""
    return ROOT / ("constraints-train.txt" if level == "train" else "constraints.txt")


def step(number: int, of: int, title: str, command: list[str]) -> None:
    """Runs one step; its output goes to a log that is shown when the step fails."""
    print(f"[{number}/{of}] {title} …", flush=True)
    log = VENV / "setup.log"
    started = time.monotonic()
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        code = subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    if code != 0:
        lines = log.read_text(errors="replace").splitlines()[-25:]
        print("\n".join(lines), file=sys.stderr)
        print(f"{title} failed (exit {code}).", file=sys.stderr)
        sys.exit("Next: read the lines above; the whole log is .venv/setup.log. Running the command again resumes.")
    print(f"      done in {time.monotonic() - started:.0f} s", flush=True)


def environment(level: str) -> None:
    """Makes .venv hold what the level needs."""
    stamps = [VENV / f"{name}.stamp" for name, groups in LEVELS.items() if set(LEVELS[level]) <= set(groups)]
    if any(stamp.exists() and stamp.read_text() == fingerprint(stamp.stem) for stamp in stamps):
        return
    python = str(VENV / "bin" / "python")
    if not (VENV / "bin" / "pip").exists():
        step(1, 2, "creating .venv", [sys.executable, "-m", "venv", str(VENV)])
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "-c", str(constraints(level))]
    step(2, 2, f"installing what `make {level}` needs (some minutes on a slow line)", [*pip, *requirements(level)])
    (VENV / f"{level}.stamp").write_text(fingerprint(level))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("level", choices=sorted(LEVELS))
    parser.add_argument("--no-toolchain", action="store_true", help="do not get and build MicroPython")
    options = parser.parse_args()
    if sys.version_info[:2] != (3, 11):
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"ZenMoon needs Python 3.11; this is {found}.\nNext: install Python 3.11 and run `make PYTHON=/path/to/python3.11 …`."
        )
    started = time.monotonic()
    environment(options.level)
    web_assets.ensure(ROOT)  # without it the page works and says that its charts are missing
    if not options.no_toolchain:
        # Its result is not needed to go on: without MicroPython the same files run under CPython, and the demo says so.
        subprocess.run(
            [str(VENV / "bin" / "python"), str(ROOT / "tools" / "toolchain.py")],
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            check=False,
        )
    print(f"set-up: {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
