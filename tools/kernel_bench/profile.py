"""Where a step's instructions go: the emulator notes every executed address, the compiler's line table says whose it is."""

from __future__ import annotations

import re
import subprocess
from collections import Counter

from kernel_bench.emulated import Job, Program

_EXECUTED = re.compile(r"^Trace \d+: \S+ \[[0-9a-f]+/([0-9a-f]+)/", re.MULTILINE)


def functions(program: Program, job: Job) -> Counter[str]:
    """Instructions of all calls of `tinylstm_run`, by innermost function of the source, inlined ones too.

    Raises:
        EmulationError: the run failed.
    """
    trace = program.folder / "trace"
    program.run([job], "-singlestep", "-d", "exec,nochain", "-D", str(trace))
    executed = [int(address, 16) for address in _EXECUTED.findall(trace.read_text())]
    trace.unlink()
    begin, end = _around(program, "counted_calls")
    run, run_end = _around(program, "tinylstm_run")
    # From the first entry until the loop that calls has ended; what that loop executes itself is left out.
    first = executed.index(run)
    last = max(i for i, address in enumerate(executed) if run <= address < run_end)
    counts = Counter(address for address in executed[first : last + 1] if not begin <= address < end)
    names = _innermost(program, sorted(counts))
    found: Counter[str] = Counter()
    for address, count in counts.items():
        found[names[address]] += count
    return found


def _around(program: Program, name: str) -> tuple[int, int]:
    said = subprocess.run([program.target.tools + "nm", "-S", str(program.elf)], capture_output=True, text=True, check=True).stdout
    for line in said.splitlines():
        fields = line.split()
        if fields[-1] == name and len(fields) == 4:
            begin = int(fields[0], 16) & ~1
            return begin, begin + int(fields[1], 16)
    raise LookupError(f"{program.elf.name} has no function {name}")


def _innermost(program: Program, addresses: list[int]) -> dict[int, str]:
    asked = "\n".join(hex(address) for address in addresses)
    command = [program.target.tools + "addr2line", "-f", "-e", str(program.elf)]
    said = subprocess.run(command, input=asked, capture_output=True, text=True, check=True).stdout.splitlines()
    return dict(zip(addresses, said[::2], strict=True))
