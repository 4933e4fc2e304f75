"""Renews the kernel that the parents' page loads: `python tools/page_kernel.py` writes cloud/web/tinylstm.wasm.

The file is committed, because those who only serve the page have no clang. Beside it `cloud/tinylstm_wasm.json` says which source
and which clang made it; a test builds it again where that clang is, and compares the bytes.

Exit status: 0, or 3 where there is no clang; the message names the next action.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import native
from kernel_bench.emulated import kernel_hash
from micropython_source import Log

WASM = native.ROOT / "cloud" / "web" / "tinylstm.wasm"
ABOUT = native.ROOT / "cloud" / "tinylstm_wasm.json"


def version(compiler: str) -> str:
    """Which clang it is, without where it lies."""
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]


def build(compiler: str, folder: Path) -> bytes:
    """The kernel as WebAssembly.

    Args:
        compiler: a clang with a linker for WebAssembly.
        folder: where it may work.

    Raises:
        SourceUnavailableError: the compiler failed.
    """
    with (folder / "log").open("w") as file:
        made: str = native.build_wasm(compiler, folder, folder, Log(file))["file"]
    return (folder / made).read_bytes()


def main() -> int:
    """Command line."""
    compiler = native.clang()
    if compiler is None or shutil.which(compiler) is None:
        print("There is no clang with wasm-ld here.\nNext: `apt install clang-14 lld-14`", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory() as folder:
        WASM.write_bytes(build(compiler, Path(folder)))
    about = {"clang": version(compiler), "kernel": kernel_hash(), "bytes": WASM.stat().st_size}
    ABOUT.write_text(json.dumps(about, indent=2) + "\n")
    print(f"{WASM.relative_to(native.ROOT)}: {WASM.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
