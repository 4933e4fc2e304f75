"""What `make fuzz` keeps: figures that add up only for the same kernel, and an archive that is the same for the same files."""

import shutil
from pathlib import Path

import fuzz
import pytest
from kernel_bench.seeds import small_models
from zenmoon_edge.core.tinylstm import ModelError, TinyLSTM

RUN = {"executions": 100, "edges": 7, "features": 20, "files": 3, "seconds": 5, "seed": 2, "found": []}


def test_figures_add_up_for_the_same_kernel_and_begin_anew_for_another() -> None:
    first = fuzz.report({}, {**RUN, "seed": 1}, {"subject": "a"})
    second = fuzz.report(first, RUN, {"subject": "a"})
    assert (second["executions"], second["seconds"], second["seeds"]) == (200, 10, [1, 2])
    other = fuzz.report(second, RUN, {"subject": "b"})
    assert (other["executions"], other["seconds"], other["seeds"]) == (100, 5, [2])


def test_the_archive_is_the_same_for_the_same_files_and_gives_them_back(tmp_path: Path) -> None:
    files = {"b": b"second" * 50, "a": b"first", "c": b""}
    for folder in (tmp_path / "one", tmp_path / "other"):
        folder.mkdir()
        for name, data in sorted(files.items(), reverse=folder.name == "other"):
            (folder / name).write_bytes(data)
        fuzz.pack(folder, folder.with_suffix(".zip"))
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "other.zip").read_bytes()
    assert fuzz.kept(tmp_path / "one.zip") == [files[name] for name in sorted(files)]


def test_fuzzing_begins_with_files_that_run(tmp_path: Path) -> None:
    accepted = 0
    for data in small_models():
        assert len(data) <= fuzz.MOST_BYTES
        try:
            runner = TinyLSTM(data, engine="portable")
        except ModelError:
            continue  # what lies on a limit may be refused
        assert runner.step([0] * runner.input_size)
        accepted += 1
    assert accepted >= 10


def test_what_libfuzzer_says_is_understood() -> None:
    line = "#524288\tpulse  cov: 33 ft: 37 corp: 4/18b lim: 4096 exec/s: 262144 rss: 137Mb"
    match = fuzz.STATUS.match(line)
    assert match is not None
    assert match.groups() == ("524288", "33", "37", "4")


@pytest.mark.parametrize(("code", "kept"), [(0, "one"), (1, "one"), (0, "")])
def test_minimising_stays_in_its_folder_and_says_what_fails(tmp_path: Path, code: int, kept: str) -> None:
    """A fuzzer that leaves a crash where libFuzzer would, and ends as it is told."""
    work, program, archive = tmp_path / "work", tmp_path / "fuzzer", tmp_path / "corpus.zip"
    (work / "corpus").mkdir(parents=True)
    keep = f'for last do test "${{last##*/}}" = minimised && echo > "$last/{kept}"; done' if kept else ""
    prefix = 'for each do case "$each" in -artifact_prefix=*) echo > "${each#*=}crash-1";; esac; done'
    program.write_text(f"#!/bin/sh\necho > here\n{prefix}\n{keep}\necho why >&2\nexit {code}\n")
    program.chmod(0o755)
    if code or not kept:
        with pytest.raises(SystemExit, match="could not be minimised"):
            fuzz.minimise(program, work, archive)
        assert not archive.exists()
        assert "why" in (work / "minimise.log").read_text()
    else:
        assert fuzz.minimise(program, work, archive) == 1
    assert (work / "here").exists()
    assert [path.name for path in (work / "found").iterdir()] == ["crash-1"]


@pytest.mark.soak
def test_a_defect_is_found_and_its_file_is_kept(tmp_path: Path) -> None:
    """A kernel that reads up to 4 bytes past the file: the fuzzer has to find a file that shows it."""
    compiler = fuzz.clang()
    if compiler is None:
        pytest.skip("no clang with libFuzzer on this machine (`apt install clang-14 libclang-rt-14-dev`)")
    native = tmp_path / "native"
    native.mkdir()
    for name in ("tinylstm.c", "tinylstm.h"):
        shutil.copy(fuzz.NATIVE / name, native)
    source = (native / "tinylstm.c").read_text()
    check = "(file->size - position) >> width_bits"
    assert source.count(check) == 1
    (native / "tinylstm.c").write_text(source.replace(check, "(file->size + 4 - position) >> width_bits"))
    fuzz.unpack(tmp_path / "corpus")
    found = fuzz.fuzz(fuzz.build(compiler, tmp_path, native), tmp_path, seconds=120, seed=1)["found"]
    assert found
    assert "heap-buffer-overflow" in (tmp_path / "fuzz.log").read_text()
