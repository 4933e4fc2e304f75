"""Measurements that are kept beside the code that made them: an interrupted run goes on, changed programs are measured anew."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# What a replay runs; of tools/, the demo and what it imports from there.
PROGRAMS = ("edge_sdk/zenmoon_edge", "firmware", "gateway/zenmoon_gateway", "cloud/zenmoon_cloud")
SCRIPT = "tools/demo.py"

Result = dict[str, Any]


def code_hash(folders: Sequence[str] = PROGRAMS, script: str = SCRIPT, *, root: Path = ROOT) -> str:
    """16 hex digits over names and bytes of every .py and .tflite that a run is made of; tests are no part of it."""
    files = {file for folder in folders for file in (root / folder).rglob("*") if file.suffix in {".py", ".tflite"}}
    files |= set(_with_imports(root / script))
    digest = hashlib.sha256()
    for name, file in sorted((file.relative_to(root).as_posix(), file) for file in files):
        if "/tests/" not in name:
            digest.update(name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _with_imports(script: Path) -> Iterator[Path]:
    """The script and the modules beside it that it imports, and those that these import."""
    seen, waiting = {script}, [script]
    while waiting:
        file = waiting.pop()
        yield file
        names: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
        beside = {path for name in names if (path := script.parent / f"{name}.py").is_file()} - seen
        seen |= beside
        waiting += beside


class Results:
    """One JSON file of results by name, each with the hash of the code that gave it (`code`).

    Args:
        path: The file; created with the first result.
        code: The hash of the present code.
    """

    def __init__(self, path: Path, code: str) -> None:
        self._path, self._code = path, code

    def current(self, name: str) -> Result | None:
        """The kept result, or None where there is none of the present code."""
        result: Result | None = self._read().get(name)
        return result if result is not None and result.get("code") == self._code else None

    def keep(self, name: str, result: Result) -> Result:
        """Writes a result, so that an interruption right afterwards loses nothing, and gives it back with its `code`."""
        results = self._read()
        results[name] = {**result, "code": self._code}
        draft = self._path.with_name(self._path.name + ".new")
        draft.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
        draft.replace(self._path)
        return results[name]

    def _read(self) -> dict[str, Result]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}
