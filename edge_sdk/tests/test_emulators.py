"""The kernel as a native module of stock MicroPython: desktop and emulated boards give the integers of the portable engine."""

import ast
import base64
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # random_models.py

import emulator
import numpy as np
from emulator import Board, Desktop, Emulator, RemoteError
from random_models import random_model
from zenmoon_edge.core.model_file import ModelError
from zenmoon_edge.core.native import _REFUSALS
from zenmoon_edge.core.tinylstm import TinyLSTM

ROOT = Path(__file__).resolve().parents[2]
TOOLCHAIN = ROOT / ".toolchain"
PACKAGE = ROOT / "edge_sdk" / "zenmoon_edge"
SHIPPED = sorted((PACKAGE / "models").glob("*.tflite"))
PORTABLE = ROOT / "edge_sdk" / "tests" / "portable"
SMALL = PORTABLE / "small.tflite"
CODES = {reason: code for code, (reason, _) in _REFUSALS.items()}
TARGETS = [
    ("desktop", "x64"),
    ("qemu-arm", "armv7m"),
    ("qemu-arm", "armv6m"),  # Cortex-M3 runs what a Cortex-M0 runs
    ("qemu-arm-m4", "armv7emsp"),
    ("qemu-rv32", "rv32imc"),
]

# Runs on the board: what the tests need again and again.
HELPERS = """
import binascii, gc, json
import _tinylstm
def opened(model):
    memory = bytearray(_tinylstm.size(model))
    _tinylstm.load(model, memory)
    return memory
def run(model, memory, x):
    y = bytearray(len(x) // _tinylstm.inputs(memory) * _tinylstm.outputs(memory))
    _tinylstm.run(model, memory, x, y)
    return y
def said(*arguments):
    try:
        return str(arguments[0](*arguments[1:]))
    except Exception as error:
        code = error.args[0] if error.args else None
        return "%s %s" % (type(error).__name__, code if isinstance(code, int) else "")
def shown(y):
    print(str(binascii.b2a_base64(y), "ascii"), end="")
"""


@pytest.fixture(scope="module", params=TARGETS, ids=["-".join(target) for target in TARGETS])
def target(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A board and the architecture of the module that it loads."""
    name, architecture = request.param
    if not (TOOLCHAIN / "native" / architecture / "_tinylstm.mpy").is_file():
        pytest.skip(f"no native module for {architecture}: `python tools/toolchain.py` builds it, or says what is missing")
    if name == "desktop":
        if not (TOOLCHAIN / "micropython" / "micropython").is_file():
            pytest.skip("no MicroPython: `python tools/toolchain.py` builds it")
    elif why := emulator.why_no_emulator(name):
        pytest.skip(why)
    return name, architecture


def started(target: tuple[str, str]) -> Board:
    return Desktop() if target[0] == "desktop" else Emulator(target[0])


def module(target: tuple[str, str]) -> bytes:
    return (TOOLCHAIN / "native" / target[1] / "_tinylstm.mpy").read_bytes()


@pytest.fixture(scope="module")
def board(target: tuple[str, str]) -> Iterator[Board]:
    """One start serves all tests."""
    with started(target) as board:
        board.put("_tinylstm.mpy", module(target))
        board.put("small", SMALL.read_bytes())
        board.exec(HELPERS)
        yield board


def noise(count: int, seed: int = 1) -> bytes:
    """int8 values, most of them small; one in eight anywhere up to saturation."""
    chance = random.Random(seed)
    small = (chance.randint(-40, 40) for _ in range(count))
    return bytes((chance.randint(-128, 127) if chance.random() < 1 / 8 else value) & 255 for value in small)


def portable(model: bytes, x: bytes, *, carried: bool) -> bytes:
    runner = TinyLSTM(model, "portable")
    result = b""
    for at in range(0, len(x), runner.input_size):
        if not carried:
            runner.reset()
        result += runner.run(x[at : at + runner.input_size])
    return result


def on_board(board: Board, x: bytes, *, carried: bool) -> bytes:
    """Runs /memory/model over x."""
    board.put("x", x)
    board.exec("x = open('/memory/x', 'rb').read(); memory = opened(model)")
    if carried:
        return base64.b64decode(board.exec("shown(run(model, memory, x))"))
    return base64.b64decode(
        board.exec(
            "n, y = _tinylstm.inputs(memory), b''\n"
            "for at in range(0, len(x), n):\n"
            "    _tinylstm.reset(memory)\n"
            "    y += run(model, memory, x[at : at + n])\n"
            "shown(y)"
        )
    )


def put_model(board: Board, model: bytes) -> None:
    board.exec("model = memory = x = y = None; _files.pop('model', None); gc.collect()")
    board.put("model", model)
    board.exec("model = _files['model']")


def test_stock_micropython_imports_the_module(board: Board) -> None:
    names = json.loads(board.exec("print(json.dumps([name for name in dir(_tinylstm) if name[0] != '_']))"))
    assert sorted(names) == ["inputs", "load", "outputs", "reset", "run", "size"]


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
@pytest.mark.parametrize("carried", [True, False], ids=["carried", "reset"])
def test_shipped_models_give_the_integers_of_the_portable_engine(board: Board, path: Path, carried: bool) -> None:
    model = path.read_bytes()
    calls = max(2, 60 // TinyLSTM(model).steps)
    x = noise(TinyLSTM(model).input_size * calls)
    expected = portable(model, x, carried=carried)
    assert len(set(expected)) > 4  # saturated everywhere, it would hide a wrong state
    put_model(board, model)
    assert on_board(board, x, carried=carried) == expected


def assert_random_model_is_equal(board: Board, seed: int) -> None:
    made = random_model(seed)
    kinds = ("ordinary", "wide", "saturating")
    x = np.concatenate([made.inputs(kind, 2, seed) for kind in kinds]).tobytes()
    put_model(board, made.data)
    for carried in (True, False):
        assert on_board(board, x, carried=carried) == portable(made.data, x, carried=carried), (made.words, carried)


@pytest.mark.parametrize("seed", range(6))
def test_random_models_give_the_integers_of_the_portable_engine(board: Board, seed: int) -> None:
    assert_random_model_is_equal(board, seed)


@pytest.mark.soak
def test_200_random_models_give_the_integers_of_the_portable_engine(board: Board) -> None:
    for seed in range(1000, 1200):
        assert_random_model_is_equal(board, seed)


def test_a_copy_of_the_memory_is_a_saved_state(board: Board) -> None:
    model = SMALL.read_bytes()
    size = TinyLSTM(model).input_size
    board.exec(
        f"model = _files['small']; memory = opened(model); run(model, memory, bytes(range({size})) * 5); saved = bytes(memory)"
    )
    first = board.exec(f"shown(run(model, memory, bytes({size * 3})))")
    assert board.exec(f"shown(run(model, memory, bytes({size * 3})))") != first
    assert board.exec(f"other = bytearray(saved); shown(run(model, other, bytes({size * 3})))") == first


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("_tinylstm.load, model, bytearray(_tinylstm.size(model) - 4)", "ValueError -9"),
        ("_tinylstm.load, model, bytearray(0)", "ValueError -9"),
        ("_tinylstm.load, model, memoryview(bytearray(_tinylstm.size(model) + 8))[1:]", "ValueError "),
        ("_tinylstm.load, model, bytes(_tinylstm.size(model))", "TypeError "),
        ("_tinylstm.run, model, bytearray(len(memory)), x, y", "ValueError -9"),
        ("_tinylstm.inputs, bytearray(len(memory))", "ValueError -9"),
        ("_tinylstm.outputs, bytearray(len(memory))", "ValueError -9"),
        ("_tinylstm.run, model, memory, x[1:], y", "ValueError "),
        ("_tinylstm.run, model, memory, x + b'1', y", "ValueError "),
        ("_tinylstm.run, model, memory, b'', y", "ValueError "),
        ("_tinylstm.run, model, memory, x, y[1:]", "ValueError "),
        ("_tinylstm.run, model, memory, x, y + y", "ValueError "),
        ("_tinylstm.run, model, memory, x, bytes(y)", "TypeError "),
        ("_tinylstm.run, model, memory, x, y", "None"),
        ("_tinylstm.run, model, memory, b'', bytearray(0)", "None"),
    ],
)
def test_buffers_that_do_not_fit_are_refused(board: Board, call: str, answer: str) -> None:
    board.exec("model = _files['small']; memory = opened(model)")
    board.exec("x = bytes(_tinylstm.inputs(memory)); y = bytearray(_tinylstm.outputs(memory))")
    assert board.exec(f"print(said({call}))").strip("\n") == answer


def judged(data: bytes) -> str:
    """What the portable engine says of a file, as the module would."""
    try:
        TinyLSTM(data, "portable")
    except ModelError as error:
        return f"ValueError {CODES[error.reason]}"
    return "None"


def test_damaged_files_are_refused_as_the_portable_engine_refuses_them_and_nothing_crashes(board: Board) -> None:
    model = SMALL.read_bytes()
    chance = random.Random(7)
    lengths = [chance.randrange(len(model)) for _ in range(20)]
    # Most bytes of a file are weights, which may be anything; what can be wrong lies at its ends.
    places = [*range(64), *range(len(model) - 2000, len(model))]
    flips = [(chance.choice(places), chance.choice([0, 1, 127, 128, 255])) for _ in range(150)]
    board.exec("model = _files['small']; memory = bytearray(_tinylstm.size(model)); damaged = bytearray(model); answers = []")
    board.exec(f"for n in {lengths}:\n    answers.append(said(_tinylstm.size, memoryview(model)[:n]))")
    board.exec(
        f"for at, value in {flips}:\n"
        "    damaged[at] = value\n"
        "    answers.append(said(_tinylstm.load, damaged, memory))\n"
        "    damaged[at] = model[at]"
    )
    answers = json.loads(board.exec("print(json.dumps(answers))"))
    for length, answer in zip(lengths, answers[: len(lengths)], strict=True):
        assert answer == judged(model[:length]), length
    expected = [judged(model[:at] + bytes([value]) + model[at + 1 :]) for at, value in flips]
    assert {"None", "ValueError -2"} < set(expected)
    for flip, answer, wanted in zip(flips, answers[len(lengths) :], expected, strict=True):
        assert answer == wanted, flip
    assert board.exec("print(said(_tinylstm.load, model, memory))") == "None\n"


def test_what_a_board_raises_comes_back_as_its_traceback(board: Board) -> None:
    with pytest.raises(RemoteError, match="ZeroDivisionError"):
        board.exec("1 / 0")
    assert board.exec("print(6 * 7)") == "42\n"


def imported_by(path: Path) -> list[str]:
    """The modules of the portable core that a file imports."""
    nodes = ast.walk(ast.parse(path.read_text()))
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return [name for name in names if name.startswith("zenmoon_edge.core.")]


def in_order(names: list[str]) -> list[str]:
    """These modules and what they import, each after those that it imports."""
    found: list[str] = []
    for name in names:
        inner = [other for other in in_order(imported_by(source_of(name))) if other not in found]
        found += [*inner, *([name] if name not in inner and name not in found else [])]
    return found


def source_of(name: str) -> Path:
    return PACKAGE.parent / (name.replace(".", "/") + ".py")


def import_on(board: Board, name: str, content: bytes) -> None:
    """Puts a compiled module there and imports it; its file makes room again."""
    path = name.replace(".", "/") + ".mpy"
    board.put(path, content)
    board.exec(f"import gc, {name}; del _files[{path!r}]; gc.collect()")


def compiled(path: Path, folder: Path) -> bytes:
    """A module as bytecode, as a wearable gets it."""
    made = folder / "made.mpy"
    subprocess.run([TOOLCHAIN / "micropython" / "mpy-cross", "-O2", "-s", path.name, "-o", made, path], check=True, timeout=60)
    return made.read_bytes()


# Hundreds of damaged files on both engines: a minute on an emulated board.
LONG = {
    "test_a_cut_off_model_is_refused_at_every_length",
    "test_a_damaged_model_is_refused_or_runs_and_does_nothing_else",
    "test_numbers_of_a_model_pushed_to_their_limits_are_refused_or_run",
}


@pytest.mark.parametrize("long", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["short", "long"])
def test_the_portable_suite_of_the_runner_passes_on_the_board(target: tuple[str, str], tmp_path: Path, long: bool) -> None:
    suite = PORTABLE / "test_tinylstm.py"
    with started(target) as board:  # of its own: the suite wants all of its memory
        import_on(board, "_tinylstm", module(target))
        for name in in_order(imported_by(suite)):
            import_on(board, name, compiled(source_of(name), tmp_path))
        import_on(board, "test_tinylstm", compiled(suite, tmp_path))
        board.put("small.tflite", SMALL.read_bytes())
        board.exec("import gc, test_tinylstm as suite")
        assert board.exec("print(suite.engines())") == "('portable', 'native')\n"
        tests = set(board.exec("print(' '.join(name for name in dir(suite) if name.startswith('test_')))").split())
        assert tests > LONG
        for test in sorted(LONG if long else tests - LONG):
            board.exec(f"gc.collect(); suite.{test}()", within_s=600)
