"""The kernel on emulated cores: the same integers as the portable engine, counted by a timer that counts instructions.

What is measured stands in docs/evaluation/kernel.json, written by `make bench`; these tests look at what must not break.
"""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import zenmoon_edge
from kernel_bench import desktop, report
from kernel_bench.emulated import NATIVE, TARGETS, EmulationError, Job, Program, kernel_hash
from kernel_bench.models import macs, model, random_model
from kernel_bench.profile import functions
from kernel_bench.seeds import small_models
from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

MODELS = Path(zenmoon_edge.__file__).parent / "models"
CALLS = 12


def _odd_models() -> ModuleType:
    """The random models of the kernel's own tests: graphs that no converter makes."""
    path = NATIVE.parent / "tests" / "random_models.py"
    spec = importlib.util.spec_from_file_location("random_models", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


odd_models = _odd_models()
LEVEL = "module"


@pytest.fixture(scope="module", params=TARGETS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The kernel built for each core as its native module is."""
    if missing := TARGETS[request.param].missing():
        pytest.skip(f"{request.param} cannot be emulated here: `{missing}`")
    return Program(request.param, LEVEL, tmp_path_factory.mktemp("emulated"))


@pytest.fixture(scope="module")
def cortex_m3(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The kernel on the smallest core that is emulated."""
    if missing := TARGETS["armv7m"].missing():
        pytest.skip(f"armv7m cannot be emulated here: `{missing}`")
    return Program("armv7m", LEVEL, tmp_path_factory.mktemp("emulated"))


def wide(model: bytes, seed: int) -> np.ndarray:
    """Inputs over the whole range: they saturate what can be saturated."""
    width = TinyLSTM(model, engine="portable").input_size
    return np.random.default_rng(seed).integers(-128, 128, (CALLS, width)).astype(np.int8)


def runs(model: bytes) -> bool:
    """Whether the portable engine accepts it; what lies on a limit may be refused."""
    try:
        return bool(TinyLSTM(model, engine="portable").input_size)
    except ModelError:
        return False


def assert_equal(program: Program, models: list[bytes]) -> None:
    """Each model gives the portable engine's integers, at ordinary and at extreme inputs, one call a run and all calls in one."""
    jobs = []
    for seed, file in enumerate(models):
        jobs += [Job(file, desktop.inputs(file, CALLS, seed)), Job(file, wide(file, seed), at_once=CALLS)]
    for i, (job, result) in enumerate(zip(jobs, program.run(jobs), strict=True)):
        runner = TinyLSTM(job.model, engine="portable")
        expected = [runner.step(row) for row in job.inputs.tolist()]
        assert result.refusal == 0, f"model {i // 2}"
        assert result.output.tolist() == expected, f"model {i // 2} on {program.target.core}"
        assert result.strayed == 0, f"model {i // 2}: bytes outside the kernel's memory were written"


def test_models_give_the_integers_of_the_portable_engine(program: Program) -> None:
    shipped = [path.read_bytes() for path in sorted(MODELS.glob("*.tflite"))]
    random = [random_model(seed) for seed in range(12)] + [odd_models.random_model(seed).data for seed in range(12)]
    assert_equal(program, [*shipped, *filter(runs, small_models()), *random])


@pytest.mark.soak
def test_400_random_models_give_the_integers_of_the_portable_engine(program: Program) -> None:
    for begin in range(2000, 2200, 25):
        seeds = range(begin, begin + 25)
        assert_equal(program, [*map(random_model, seeds), *(odd_models.random_model(seed).data for seed in seeds)])


def test_a_refused_file_says_why_and_the_next_one_runs(program: Program) -> None:
    good = model(1)
    inputs = desktop.inputs(good, 2)
    refused, short, ran = program.run([Job(b"no model at all", inputs), Job(good[:200], inputs), Job(good, inputs)])
    assert (refused.refusal, short.refusal, ran.refusal) == (-1, -2, 0)


def test_the_kernel_needs_no_library_and_little_memory(program: Program) -> None:
    assert program.library_calls() == []
    [result] = program.run([Job(model(1), desktop.inputs(model(1), 2))])
    assert 0 < result.memory <= report.LIMITS["bytes of memory beyond the file, 16 units"]
    assert 0 < result.stack < 1024


def test_two_runs_count_the_same_and_twice_the_calls_twice_the_instructions(cortex_m3: Program) -> None:
    file = model(1)
    short, long = Job(file, desktop.inputs(file, 30)), Job(file, np.tile(desktop.inputs(file, 30), (2, 1)))
    first, again, double = cortex_m3.run([short, short, long])
    assert abs(first.instructions - again.instructions) <= 40  # a tick
    assert double.instructions == pytest.approx(2 * first.instructions, rel=0.02)


def test_the_timer_and_the_list_of_executed_addresses_agree(cortex_m3: Program) -> None:
    """Two ways of counting that know nothing of each other."""
    job = Job(model(1), desktop.inputs(model(1), 10))
    [result] = cortex_m3.run([job])
    assert sum(functions(cortex_m3, job).values()) == pytest.approx(result.instructions, rel=0.01)


def test_a_timer_that_does_not_count_instructions_is_refused(cortex_m3: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernel_bench.emulated._LOOP_INSTRUCTIONS", 150_000)
    with pytest.raises(EmulationError, match="does not count"):
        cortex_m3.run([Job(model(1), desktop.inputs(model(1), 1))])


def test_the_limits_hold_on_cortex_m3(cortex_m3: Program) -> None:
    """The issue's figures, for the kernel as the wearable's module is built."""
    narrow, wider = model(1), model(1, inputs=16)
    few, many = cortex_m3.run([Job(file, desktop.inputs(file, 60)) for file in (narrow, wider)])
    spent = functions(cortex_m3, Job(narrow, desktop.inputs(narrow, 4)))
    assert few.instructions / 60 <= report.LIMITS["instructions a step, Cortex-M3"]
    matrix = sum(spent[name] for name in report.MATRIX) / 4 / macs()
    marginal = (many.instructions - few.instructions) / 60 / (macs(inputs=16) - macs())
    assert 1 < max(matrix, marginal) <= report.LIMITS["instructions a MAC in the matrix part, Cortex-M3"]
    assert cortex_m3.code_bytes() <= report.LIMITS["bytes of code, Cortex-M3"]


def test_the_written_figures_are_those_of_the_present_kernel() -> None:
    kept = json.loads((NATIVE.parents[1] / "docs" / "evaluation" / "kernel.json").read_text())
    assert kept["kernel"] == kernel_hash(), "the kernel has changed: run `make bench ARGS=kernel`"
    assert report.kept(kept)
    assert report.table(kept)
