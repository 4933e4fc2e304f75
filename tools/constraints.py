"""Renews constraints.txt and constraints-train.txt: asks pip what it would install today, and pins that."""

import json
import subprocess
import sys

from setup import ROOT, requirements

FILES = {
    "test": ("constraints.txt", "the demo and of the tests"),
    "train": ("constraints-train.txt", "training: those of constraints.txt and TensorFlow with what it needs"),
}
OWN = "zenmoon-"


def resolve(level: str, within: str | None) -> list[str]:
    """`name==version` of everything a level installs, in order; `within` = a constraints file to keep to."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-"]
    command += ["-c", within] if within else []
    report = subprocess.run([*command, *requirements(level)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = [item["metadata"] for item in json.loads(report)["install"]]
    return sorted((f"{item['name']}=={item['version']}" for item in found if not item["name"].startswith(OWN)), key=str.lower)


def main() -> None:
    """Writes both files, the training one within the other."""
    within = None
    for level, (file, purpose) in FILES.items():
        print(f"resolving {file} …", flush=True)
        pins = resolve(level, within)
        (ROOT / file).write_text(f"# Pinned versions of {purpose}. Renewed by `make constraints`.\n" + "\n".join(pins) + "\n")
        within = str(ROOT / file)


if __name__ == "__main__":
    main()
