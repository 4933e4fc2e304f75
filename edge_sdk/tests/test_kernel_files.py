"""Damaged files: the kernel and the portable engine accept and refuse alike, for the same reason, and nothing else is touched."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from kernel_library import SANITIZE, Model, library, refusal
from mutations import CALLS, mutated, shipped
from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

TESTS = Path(__file__).parent


def compare(seed: int, count: int) -> Counter[str]:
    """Outcomes of so many files; fails where the engines differ."""
    outcomes: Counter[str] = Counter()
    for number, data in enumerate(mutated(seed, count)):
        model = None
        try:
            model = TinyLSTM(data, engine="portable")
            reason = None
        except ModelError as error:
            reason = error.reason
        assert refusal(data) == reason, f"file {number} of seed {seed}"
        outcomes[reason or "accepted"] += 1
        if model is not None:
            native = Model(data)
            x = np.random.default_rng(number).integers(-128, 128, (CALLS, native.inputs)).astype(np.int8)
            assert native.run(x).tobytes() == model.run(x.tobytes()), f"file {number} of seed {seed}"
    return outcomes


def test_damaged_files_are_refused_alike_or_run_alike() -> None:
    outcomes = compare(11, 300)
    assert outcomes["accepted"] > 20
    assert {"truncated", "schema", "type", "shape", "scale", "operator"} <= set(outcomes)


@pytest.mark.soak
def test_many_damaged_files_are_refused_alike_or_run_alike() -> None:
    outcomes = compare(12, 20_000)
    print(f"20000 damaged files: {dict(outcomes)}")
    assert "range" in outcomes


def test_a_shipped_file_cut_at_any_length_is_refused_alike() -> None:
    data = min((path.read_bytes() for path in shipped()), key=len)
    for length in range(0, len(data), 97):
        cut = data[:length]
        with pytest.raises(ModelError) as refused:
            TinyLSTM(cut, engine="portable")
        assert refusal(cut) == refused.value.reason


@pytest.mark.parametrize("count", [pytest.param(1500, id="1500"), pytest.param(20_000, id="20000", marks=pytest.mark.soak)])
def test_sanitizers_find_nothing_on_damaged_files(count: int) -> None:
    made = library(*SANITIZE)
    compiler = shutil.which("cc")
    assert compiler
    runtimes = [
        subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)]),
    }
    command = [sys.executable, str(TESTS / "mutations.py"), str(made), "13", str(count)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith(f"{count} files, ")
