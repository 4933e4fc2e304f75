"""The native kernel under CPython: where it is found, how it is built, what it refuses."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import zenmoon_edge.models
from zenmoon_edge import native
from zenmoon_edge.core.model_file import ModelError
from zenmoon_edge.core.strain import Strain
from zenmoon_edge.core.tinylstm import TinyLSTM
from zenmoon_edge.tinylstm.__main__ import main

EDGE_SDK = Path(__file__).resolve().parents[1]
FILE = Path(__file__).parent / "portable" / "small.tflite"  # no training changes it
MODEL = FILE.read_bytes()
WEARABLE = Path(zenmoon_edge.models.__file__).with_name("wearable.tflite").read_bytes()

needs_kernel = pytest.mark.skipif(native.kernel() is None, reason="needs the kernel: python tools/toolchain.py")
needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler: apt install gcc")


@pytest.fixture
def nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a checkout's toolchain and with an empty cache."""
    monkeypatch.delenv(native.VARIABLE, raising=False)
    monkeypatch.setattr(native, "_BUILT", tmp_path / "none.so")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "native"
    source.mkdir()
    for name in ("tinylstm.c", "tinylstm.h"):
        shutil.copy2(EDGE_SDK / "native" / name, source)
    monkeypatch.setattr(native, "_SOURCES", (source,))
    return tmp_path


def test_without_a_kernel_everything_runs_on_the_portable_engine(nothing_built: Path) -> None:
    assert native.kernel() is None
    assert TinyLSTM(MODEL).engine == "portable"


@needs_compiler
def test_build_makes_a_kernel_that_is_found_from_then_on(nothing_built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build"]) == 0
    made = Path(capsys.readouterr().out.strip())
    assert made.is_relative_to(nothing_built / "cache")
    model, reference = TinyLSTM(MODEL), TinyLSTM(MODEL, "portable")
    assert (model.engine, reference.engine) == ("native", "portable")
    for i in range(50):
        x = [(i * 37 + j * 61) % 160 - 80 for j in range(8)]
        assert model.step(x) == reference.step(x)
    assert main(["build"]) == 0, "a second time replaces it"


@needs_compiler
def test_what_the_user_builds_is_taken_before_what_lies_in_the_checkout(
    nothing_built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = nothing_built / "older.so"
    monkeypatch.setattr(native, "_BUILT", older)
    shutil.copy2(native.build(), older)
    opened: list[Path] = []
    monkeypatch.setattr(native, "_opened", lambda path, _changed_ns: opened.append(path))
    native.kernel()
    assert opened[0].is_relative_to(nothing_built / "cache")


@needs_compiler
def test_the_compiler_may_be_named_with_its_flags(nothing_built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "cc -g '-DNAME=a word'")
    assert native.build().is_file()
    monkeypatch.setenv("CC", "  ")
    assert native.build().is_file()
    monkeypatch.setenv("CC", "cc 'unclosed")
    with pytest.raises(native.KernelError, match="CC is no command"):
        native.build()


def test_without_numpy_a_command_exits_2_and_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    for name in ("commands", "engines", "inspection", "verification"):
        monkeypatch.delitem(sys.modules, f"zenmoon_edge.tinylstm.{name}", raising=False)
        monkeypatch.delattr(f"zenmoon_edge.tinylstm.{name}", raising=False)
    assert main(["inspect", str(FILE)]) == 2
    assert "pip install 'zenmoon-edge[tinylstm]'" in capsys.readouterr().err


@needs_compiler
def test_a_kernel_of_another_source_is_not_taken(nothing_built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    native.build()
    changed = nothing_built / "source"
    changed.mkdir()
    for name in ("tinylstm.c", "tinylstm.h"):
        (changed / name).write_bytes((nothing_built / "native" / name).read_bytes() + b"\n/* changed */\n")
    monkeypatch.setattr(native, "_SOURCES", (changed,))
    assert native.kernel() is None
    native.build()
    assert native.kernel() is not None


@pytest.mark.parametrize(
    ("compiler", "said"),
    [("no-such-compiler", "there is no C compiler (no-such-compiler): install one"), ("false", "false -std=c99")],
)
def test_a_build_that_fails_exits_2_and_says_why(
    nothing_built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], compiler: str, said: str
) -> None:
    monkeypatch.setenv("CC", compiler)
    assert main(["build"]) == 2
    assert said in capsys.readouterr().err
    assert not list((nothing_built / "cache").rglob("*.so")), "nothing half built is left"


def test_an_installation_without_the_source_says_so(
    nothing_built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(native, "_SOURCES", (nothing_built / "nowhere",))
    monkeypatch.setenv("CC", "true")
    assert main(["build"]) == 2
    assert "lacks tinylstm.c" in capsys.readouterr().err


def test_the_variable_names_a_library_or_turns_the_kernel_off(
    nothing_built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    library = nothing_built / "library.so"
    library.write_bytes(b"no library")
    monkeypatch.setenv(native.VARIABLE, str(library))
    with pytest.raises(native.KernelError, match="which is no kernel") as refused:
        native.kernel()
    assert refused.value.reason == "library"
    assert main(["verify", str(FILE)]) == 2
    assert "run `python -m zenmoon_edge.tinylstm build`" in capsys.readouterr().err
    monkeypatch.setenv(native.VARIABLE, "")
    assert native.kernel() is None


def test_the_wheel_carries_the_source_where_a_build_looks_for_it() -> None:
    settings = tomllib.loads((EDGE_SDK / "pyproject.toml").read_text("utf-8"))
    carried = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert carried == {f"native/{name}": f"zenmoon_edge/kernel/{name}" for name in ("tinylstm.c", "tinylstm.h")}
    assert EDGE_SDK / "zenmoon_edge" / "kernel" in native._SOURCES
    assert all((EDGE_SDK / source).is_file() for source in carried)


@needs_kernel
def test_a_copied_memory_is_a_saved_state() -> None:
    kernel = native.kernel()
    assert kernel is not None
    memory = bytearray(kernel.size(MODEL))
    kernel.load(MODEL, memory)
    inputs, outputs = kernel.inputs(memory), kernel.outputs(memory)
    assert (inputs, outputs) == (8, 3)
    before, again, later, fresh = (bytearray(outputs * 5) for _ in range(4))
    kernel.run(MODEL, memory, bytes(range(40)), fresh)
    saved = bytearray(memory)
    kernel.run(MODEL, memory, bytes(range(40)), before)
    kernel.run(memoryview(MODEL), saved, memoryview(bytes(range(40))), again)
    assert before == again != fresh
    kernel.reset(memory)
    kernel.run(MODEL, memory, bytes(range(40)), later)
    assert later == fresh


@needs_kernel
def test_the_kernels_door_refuses_what_does_not_fit() -> None:
    kernel = native.kernel()
    assert kernel is not None
    memory = bytearray(kernel.size(MODEL))
    kernel.load(MODEL, memory)
    for x, y in ((7, 3), (8, 2), (8, 6), (16, 3), (0, 3)):
        with pytest.raises(ValueError, match="values in and"):
            kernel.run(MODEL, memory, bytes(x), bytearray(y))
    with pytest.raises(ValueError, match="-9"):
        kernel.load(MODEL, bytearray(kernel.size(MODEL) - 1))
    with pytest.raises(ValueError, match="-1"):
        kernel.size(b"hello")
    with pytest.raises(TypeError):
        kernel.run(MODEL, memory, bytes(8), bytes(3))  # nowhere to write


@needs_kernel
def test_native_and_portable_refuse_with_the_same_reason() -> None:
    for length in range(0, len(MODEL), 97):
        reasons = set()
        for engine in ("native", "portable"):
            with pytest.raises(ModelError) as refused:
                TinyLSTM(MODEL[:length], engine)
            reasons.add(refused.value.reason)
        assert len(reasons) == 1, length


@needs_kernel
def test_strain_says_the_same_on_both_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = Strain(WEARABLE)
    monkeypatch.setenv(native.VARIABLE, "")
    slow = Strain(WEARABLE)
    assert (fast.model.engine, slow.model.engine) == ("native", "portable")
    for i in range(120):
        inputs = None if 40 <= i < 60 else [((i * 7 + j * 13) % 50) / 10 - 2.5 for j in range(fast.model.input_size)]
        assert fast.step(inputs) == slow.step(inputs)


@needs_kernel
def test_beside_the_kernel_the_portable_engine_is_not_even_imported() -> None:
    program = """
import sys
from zenmoon_edge.core.tinylstm import TinyLSTM
with open(sys.argv[1], "rb") as file:
    model = TinyLSTM(file.read())
model.step([0] * 8)
model.metadata("zenmoon")
portable = ["graph", "operators", "lstm", "flashed"]
print(model.engine, *[name for name in portable if "zenmoon_edge.core." + name in sys.modules])
"""
    environment = {**os.environ, "PYTHONPATH": str(EDGE_SDK)}
    done = subprocess.run([sys.executable, "-c", program, str(FILE)], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["native"]
