"""The kernel's source on every target that it is built for: no library is needed, and the code stays small."""

import shutil
import subprocess
from pathlib import Path

import pytest
from kernel_library import SOURCE

MOST_CODE = 8192  # bytes of code and constants on a Cortex-M3
TARGETS = {
    "armv6m": ("arm-none-eabi-gcc", "-mcpu=cortex-m0", "-mthumb"),
    "armv7m": ("arm-none-eabi-gcc", "-mcpu=cortex-m3", "-mthumb"),
    "armv7emsp": ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
    "rv32imc": ("riscv64-unknown-elf-gcc", "-march=rv32imc", "-mabi=ilp32", "-ffreestanding", "--specs=picolibc.specs"),
    "wasm32": ("clang", "--target=wasm32", "-ffreestanding", "-fno-builtin"),
    "x64": ("gcc",),
}
PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf",
    "clang": "clang",
    "gcc": "gcc",
}


def compiled(target: str, folder: Path, *flags: str) -> Path:
    compiler, *options = TARGETS[target]
    found = shutil.which(compiler) or shutil.which(compiler + "-14")
    if found is None:
        pytest.skip(f"needs {compiler}: apt install {PACKAGES[compiler]}")
    made = folder / "tinylstm.o"
    command = [found, *options, *flags, "-std=gnu99", "-Wall", "-Wextra", "-Werror", "-c", str(SOURCE), "-o", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


@pytest.mark.parametrize("level", ["-Os", "-O2", "-O3"])
@pytest.mark.parametrize("target", TARGETS)
def test_no_library_is_needed(target: str, level: str, tmp_path: Path) -> None:
    made = compiled(target, tmp_path, level, "-fPIC")
    tool = next((name for name in ("llvm-nm", "llvm-nm-14") if shutil.which(name)), None)
    if tool is None:
        pytest.skip("needs llvm-nm: apt install llvm")
    wanted = subprocess.run([tool, "-u", "-j", str(made)], capture_output=True, text=True, check=True).stdout.split()
    # What a linker makes itself: WebAssembly's stack, the table of addresses of position-independent code.
    assert set(wanted) <= {"__stack_pointer", "_GLOBAL_OFFSET_TABLE_", "__memory_base", "__table_base", "__indirect_function_table"}


def test_the_code_fits_eight_kilobytes_on_armv7m(tmp_path: Path) -> None:
    made = compiled("armv7m", tmp_path, "-Os")
    done = subprocess.run(["arm-none-eabi-size", str(made)], capture_output=True, text=True, check=True)
    text, data, bss = (int(field) for field in done.stdout.splitlines()[1].split()[:3])
    assert (data, bss) == (0, 0), "no writable static data"
    assert text <= MOST_CODE
