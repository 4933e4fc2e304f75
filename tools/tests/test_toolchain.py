"""Getting MicroPython has to work on machines that differ in everything, and must never build what nobody pinned."""

import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import micropython_source as source
import pytest
import toolchain
from micropython_source import Archive, Log, SourceUnavailableError, ToolchainError
from toolchain import Toolchain

SCRIPT = Path(toolchain.__file__)
INTERPRETER = f"#!/bin/sh\necho micropython {source.VERSION}\n"


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with (tmp_path / "log").open("w") as file:
        yield Log(file)


def command_line(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=60, check=False)


def never(_work: Path, _log: Log) -> Path:
    raise AssertionError("this source must not be asked")


def absent(_work: Path, _log: Log) -> Path:
    raise SourceUnavailableError("not here")


def test_a_named_interpreter_is_taken_before_anything_else(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = program(tmp_path / "mine", INTERPRETER)
    monkeypatch.setenv("ZENMOON_MICROPYTHON", str(named))
    assert Toolchain(tmp_path / "kept", source=tmp_path / "nowhere", sources=[("any", never)]).micropython() == named


def test_a_named_interpreter_that_is_something_else_is_refused(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZENMOON_MICROPYTHON", str(program(tmp_path / "mine", "#!/bin/sh\necho micropython 1.20.0\n")))
    done = command_line("--folder", str(tmp_path / "kept"))
    assert done.returncode == 3
    assert "1.20.0" in done.stderr
    assert done.stdout == ""


def test_a_named_source_is_built_before_any_is_fetched(tmp_path: Path, compiler: Path, tree: Path) -> None:
    built = Toolchain(tmp_path / "kept", source=tree, sources=[("any", never)]).micropython()
    assert subprocess.check_output([built], text=True).strip() == f"micropython {source.VERSION}"


def test_the_next_source_is_tried_when_one_cannot_be_had(tmp_path: Path, compiler: Path, tree: Path) -> None:
    sources = [("first", absent), ("second", lambda _work, _log: tree), ("third", never)]
    assert Toolchain(tmp_path / "kept", sources=sources).micropython().is_file()


def test_no_source_at_all_names_each_cause_and_what_to_do(tmp_path: Path, compiler: Path) -> None:
    with pytest.raises(ToolchainError, match=r"first: not here; second: not here.*--source"):
        Toolchain(tmp_path / "kept", sources=[("first", absent), ("second", absent)]).micropython()


def test_sources_come_in_the_promised_order() -> None:
    assert [fetch for _, fetch in source.SOURCES] == [
        source.from_debian,
        source.from_git,
        source.from_https,
    ]


def test_without_apt_debian_falls_through(tmp_path: Path, bare: Path, log: Log) -> None:
    with pytest.raises(SourceUnavailableError, match="apt-get is not installed"):
        source.from_debian(tmp_path, log)


def test_a_source_package_with_another_hash_is_refused(tmp_path: Path, bare: Path, log: Log) -> None:
    apt_folder = tmp_path / "etc"
    apt_folder.mkdir()
    (apt_folder / "sources.list").write_text("deb [signed-by=/keys/debian.gpg] http://mirror.example/debian bookworm main\n")
    program(
        bare / "apt-get",
        f'#!/bin/sh\ncat "$APT_CONFIG" sources/debian.sources >>seen\necho other >{source.ORIG_NAME}\n',
    )
    with pytest.raises(SourceUnavailableError, match="not the pinned one"):
        source.from_debian(tmp_path, log, apt_folder=apt_folder)
    seen = (tmp_path / "apt" / "seen").read_text()
    assert "URIs: http://mirror.example/debian\n" in seen
    assert "Signed-By: /keys/debian.gpg\n" in seen
    assert f'Dir::State::Lists "{tmp_path}/apt/lists"' in seen


def test_an_upstream_tag_with_other_files_is_refused(tmp_path: Path, bare: Path, tree: Path, log: Log) -> None:
    program(bare / "git", f"#!/bin/sh\ncp -R {tree} upstream\n")
    with pytest.raises(SourceUnavailableError, match="not the pinned one"):
        source.from_git(tmp_path, log)


def test_without_a_compiler_the_message_says_what_to_install(tmp_path: Path, bare: Path, tree: Path) -> None:
    done = command_line("--folder", str(tmp_path / "kept"), "--source", str(tree))
    assert done.returncode == 3
    assert "make and cc" in done.stderr
    assert "build-essential" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_second_call_builds_nothing_and_gives_the_same_path(tmp_path: Path, compiler: Path, tree: Path) -> None:
    arguments = ("--folder", str(tmp_path / "kept"), "--source", str(tree))
    first = command_line(*arguments)
    assert first.returncode == 0, first.stderr
    assert "compiling the desktop port" in first.stderr
    runs = compiler.read_text()
    second = command_line(*arguments)
    assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, "")
    assert compiler.read_text() == runs
    assert Path(first.stdout.strip()) == tmp_path / "kept" / "micropython" / "micropython"


def test_another_source_is_built_anew(tmp_path: Path, compiler: Path, tree: Path) -> None:
    Toolchain(tmp_path / "kept", source=tree).micropython()
    (tree / "py" / "file.c").write_text("changed")
    runs = compiler.read_text()
    Toolchain(tmp_path / "kept", source=tree).micropython()
    assert compiler.read_text() == runs * 2


def test_two_calls_at_once_build_once(tmp_path: Path, compiler: Path, tree: Path) -> None:
    calls = [threading.Thread(target=Toolchain(tmp_path / "kept", source=tree).micropython) for _ in range(2)]
    for call in calls:
        call.start()
    for call in calls:
        call.join(30)
    assert compiler.read_text().count("run") == 2  # mpy-cross and the port


def test_a_build_that_fails_leaves_nothing_behind_and_names_its_log(tmp_path: Path, compiler: Path, bare: Path, tree: Path) -> None:
    program(bare / "make", "#!/bin/sh\necho a compiler error\nexit 2\n")
    with pytest.raises(ToolchainError, match=r"make failed with status 2.*toolchain\.log"):
        Toolchain(tmp_path / "kept", source=tree).micropython()
    assert sorted(os.listdir(tmp_path / "kept")) == ["lock", "toolchain.log"]  # noqa: PTH208
    assert "a compiler error" in (tmp_path / "kept" / "toolchain.log").read_text()


def test_deb822_sources_are_read() -> None:
    text = (
        "# a comment\nTypes: deb deb-src\nURIs: http://one.example/debian\n  http://two.example/debian\nSuites: bookworm\n"
        "Components: main\nSigned-By: /keys/debian.gpg\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: sid\n\n"
        "Types: deb-src\nURIs: http://source.example/debian\nSuites: sid\n\n"
        "Types: deb\nURIs: http://inline.example/debian\nSuites: sid\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n"
    )
    assert source.archives_deb822(text) == [
        Archive("http://one.example/debian", "/keys/debian.gpg"),
        Archive("http://two.example/debian", "/keys/debian.gpg"),
        Archive("http://inline.example/debian", None),
    ]


def test_one_line_sources_are_read() -> None:
    text = (
        "# deb http://off.example/debian sid main\n"
        "deb http://plain.example/debian bookworm main contrib\n"
        "deb [arch=amd64 signed-by=/keys/a.gpg] https://options.example/debian bookworm main # why\n"
        "deb-src http://source.example/debian bookworm main\n\n"
    )
    assert source.archives_one_line(text) == [
        Archive("http://plain.example/debian", None),
        Archive("https://options.example/debian", "/keys/a.gpg"),
    ]


def test_security_and_third_party_archives_are_passed_over(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (parts / "a.list").write_text("deb http://vendor.example/apt stable main\n")
    (parts / "b.sources").write_text("Types: deb\nURIs: http://m.example/debian-security http://m.example/debian/\nSuites: x\n")
    assert source.debian_archive(tmp_path) == Archive("http://m.example/debian/", None)


def test_no_debian_archive_is_no_error(tmp_path: Path) -> None:
    assert source.debian_archive(tmp_path) is None


def test_a_folder_that_cannot_be_written_means_no_interpreter_and_says_why(
    tmp_path: Path, bare: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert toolchain.micropython(tmp_path / "file") is None
    assert "check who owns" in capsys.readouterr().err


@pytest.mark.parametrize("filters", [True, False], ids=["with filters", "before Python 3.11.4"])
def test_a_source_archive_is_unpacked_and_one_that_reaches_outside_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filters: bool
) -> None:
    if not filters:
        extract = tarfile.TarFile.extractall

        def extract_without_filter(packed: tarfile.TarFile, into: Path, members: list[tarfile.TarInfo]) -> None:
            extract(packed, into, members)

        monkeypatch.delattr(tarfile, "data_filter")
        monkeypatch.setattr(tarfile.TarFile, "extractall", extract_without_filter)
    for name, inside in (("good", "top/py/runtime.c"), ("bad", "top/py/../../../reached.c")):
        with tarfile.open(tmp_path / name, "w") as packed:
            packed.addfile(tarfile.TarInfo(inside))
    assert (source.unpack(tmp_path / "good", tmp_path / "tree") / "py" / "runtime.c").is_file()
    with pytest.raises(SourceUnavailableError, match="outside"):
        source.unpack(tmp_path / "bad", tmp_path / "tree")
    assert not (tmp_path / "reached.c").exists()
