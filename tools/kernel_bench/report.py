"""Measures the kernel everywhere and sets the figures beside their limits and peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zenmoon_edge
from zenmoon_edge import native
from zenmoon_edge.core.tinylstm import TinyLSTM

from kernel_bench import desktop
from kernel_bench.emulated import LEVELS, TARGETS, Job, Program, Result, kernel_hash
from kernel_bench.models import macs, model
from kernel_bench.profile import functions

SHIPPED = Path(zenmoon_edge.__file__).parent / "models" / "wearable.tflite"
LEAST_MACS = 100_000
# What multiplies weights with values in tinylstm.c, loops and loads of operands included.
MATRIX = ("four_rows", "dot")
WIDER = 16  # inputs: twice those of the reference model
LIMITS = {
    "instructions a step, Cortex-M3": 12_000,
    "instructions a MAC in the matrix part, Cortex-M3": 4.0,
    "bytes of code, Cortex-M3": 8192,
    "bytes of memory beyond the file, 16 units": 1536,
}
# TensorFlow Lite Micro's reference kernels on Cortex-M3, a model of the same shape: instructions of a step, bytes of code.
# Measured earlier in the same way; TFLM's source is not at hand here, so this command does not repeat it.
PEER = {"-Os": (47_100, 43_000), "-O2": (36_850, 57_000)}


def measure(work: Path, *, quick: bool = False) -> dict[str, Any]:
    """Runs everything.

    Args:
        work: a folder to build in.
        quick: fewer rounds beside TFLM, no profile.

    Raises:
        Differ: an engine gives other integers than the portable one; nothing is reported then.
        EmulationError: a build or an emulated run failed.
    """
    files = {"reference": model(1), "reference, 16 inputs": model(1, inputs=WIDER), "wearable": SHIPPED.read_bytes()}
    calls = LEAST_MACS // macs() + 1
    expected = {name: _portable(data, calls) for name, data in files.items()}
    found: dict[str, Any] = {"kernel": kernel_hash(), "macs_a_step": macs(), "macs_measured": calls * macs()}
    found |= {"cores": {}, "absent": {}}
    for name, target in TARGETS.items():
        if missing := target.missing():
            found["absent"][name] = missing
            continue
        found["cores"][name] = {"core": target.core}
        for level in LEVELS:
            print(f"      {target.core}, {level} …", flush=True)
            program = Program(name, level, work)
            found["cores"][name][level] = _emulated(program, files, expected, calls, quick=quick)
    print("      this machine, beside TFLM …", flush=True)
    library, window = native.build(), model(1, steps=60)
    settings = {"rounds": 5, "turn_s": 0.01} if quick else {}
    found["x64"] = {
        "reference": desktop.beside_tflm(library, files["reference"], window, **settings),  # type: ignore[arg-type]
        "wearable": desktop.beside_tflm(library, files["wearable"], window, **settings),  # type: ignore[arg-type]
        "portable": desktop.beside_portable(library, files["wearable"], rounds=3 if quick else 7),
        "explained": " ".join(str(desktop.__doc__).split()),
    }
    found["tflm_cortex_m3_measured_earlier"] = {level: {"instructions": i, "code_bytes": b} for level, (i, b) in PEER.items()}
    found["limits"] = limits(found)
    return found


def limits(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Each limit with the figure of the kernel as the wearable's module is built, and the ratios beside TFLM."""
    rows: list[dict[str, Any]] = []
    if "armv7m" in found["cores"]:
        module = found["cores"]["armv7m"]["module"]
        step = module["files"]["reference"]
        matrix = [module["matrix_marginal"], *([module["matrix_whole"]] if "matrix_whole" in module else [])]
        values = (step["instructions"], max(matrix), module["code_bytes"], step["memory_bytes"])
        bounds = [*zip(LIMITS.items(), values, strict=True), (("names expected from a library", 0), len(module["library_calls"]))]
        rows = [{"what": what, "value": value, "limit": limit, "kept": value <= limit} for (what, limit), value in bounds]
    for name in ("streaming_call", "streaming_invoke", "window_invoke"):
        ratio = found["x64"]["reference"][name]["ratio"]
        what = f"TFLM's time over ours, x64, {name.replace('_', ', ')}"
        rows.append({"what": what, "value": ratio, "at_least": 1.0, "kept": ratio >= 1})
    return rows


def kept(found: dict[str, Any]) -> bool:
    """Whether every limit holds."""
    return all(row["kept"] for row in found["limits"])


def table(found: dict[str, Any]) -> str:
    """The report for a person."""
    title = "TinyLSTM kernel, 8 inputs, 16 units, 3 heads"
    lines = [f"{title:<46}{'instructions':>13}{'a MAC':>7}{'matrix':>8}{'code':>8}{'memory':>8}{'stack':>7}"]
    for target in found["cores"].values():
        for level in LEVELS:
            f = target[level]
            step = f["files"]["reference"]
            matrix = max(f["matrix_marginal"], f.get("matrix_whole", 0))
            lines.append(
                f"{target['core'] + ', ' + level:<46}{step['instructions']:>13,.0f}{step['instructions_a_mac']:>7.2f}{matrix:>8.2f}"
                f"{f['code_bytes']:>8,}{step['memory_bytes']:>8,}{step['stack_bytes']:>7}"
            )
    for level in ("-Os", "-O2"):
        instructions, code = PEER[level]
        row = f"{instructions:>13,}{instructions / found['macs_a_step']:>7.2f}{'':>8}{code:>8,}"
        lines.append(f"{'TFLM, Cortex-M3, ' + level + ', measured earlier':<46}{row}")
    lines += [f"{name}: not here, {how}" for name, how in found["absent"].items()]
    lines.append(f"\n{'this machine, µs a call':<46}{'ours':>13}{'theirs':>10}{'ratio':>8}   (quartiles)")
    for name in ("reference", "wearable"):
        for way, f in found["x64"][name].items():
            if name == "reference" or way.startswith("streaming"):
                lines.append(_beside(f"TFLM wheel, {name}, {way.replace('_', ', ')}", f))
    lines.append(_beside("portable engine, wearable, a step", found["x64"]["portable"]))
    lines.append("\nlimits, for the kernel as the wearable's native module is built")
    for row in found["limits"]:
        bound = f"at most {row['limit']:,}" if "limit" in row else f"at least {row['at_least']}"
        lines.append(f"{'  kept  ' if row['kept'] else '  MISSED'}  {row['what']:<60}{row['value']:>10,}  {bound}")
    return "\n".join(lines)


def _beside(name: str, figures: dict[str, Any]) -> str:
    low, high = figures["ratio_quartiles"]
    return f"{name:<46}{figures['ours_us']:>13.2f}{figures['theirs_us']:>10.2f}{figures['ratio']:>8.2f}   ({low:.2f} to {high:.2f})"


def _emulated(program: Program, files: dict[str, bytes], expected: dict[str, Any], calls: int, *, quick: bool) -> dict[str, Any]:
    jobs = [Job(data, desktop.inputs(data, calls)) for data in files.values()]
    results = dict(zip(files, program.run(jobs), strict=True))
    for name, result in results.items():
        if result.refusal or result.strayed or (result.output != expected[name]).any():
            said = f"refused {result.refusal}, {result.strayed} bytes written outside"
            raise desktop.Differ(f"{program.target.core}, {name}: {said}, or other integers")
    step = {name: result.instructions / calls for name, result in results.items()}
    wider = macs(inputs=WIDER) - macs()
    found: dict[str, Any] = {
        "code_bytes": program.code_bytes(),
        "library_calls": program.library_calls(),
        "calibration": program.calibration,
        "matrix_marginal": round((step["reference, 16 inputs"] - step["reference"]) / wider, 3),
        "files": {name: _figures(result, calls) for name, result in results.items()},
        "equal_to_portable": True,
    }
    if not quick:
        data = files["reference"]
        spent = functions(program, Job(data, desktop.inputs(data, 4)))
        found["matrix_whole"] = round(sum(spent[name] for name in MATRIX) / 4 / macs(), 3)
        found["instructions_by_function"] = {name: count / 4 for name, count in spent.most_common()}
    return found


def _figures(result: Result, calls: int) -> dict[str, Any]:
    instructions = result.instructions / calls
    return {
        "instructions": round(instructions, 1),
        "instructions_a_mac": round(instructions / macs(), 3),
        "memory_bytes": result.memory,
        "stack_bytes": result.stack,
    }


def _portable(data: bytes, calls: int) -> Any:
    runner = TinyLSTM(data, engine="portable")
    return np.array([runner.step(row) for row in desktop.inputs(data, calls).tolist()], np.int8)
