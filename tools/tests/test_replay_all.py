"""A long series of replays is worth something only if it goes on where it stopped and never takes a bad result for a good one."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import replay_all
from replay_all import Outcome, Recording, Refused, balanced, chosen, find, replay
from results import Results, code_hash
from zenmoon_edge.virtual.generated import write_recording
from zenmoon_models.datasets import exam_stress
from zenmoon_models.datasets.one_hertz import Session

COUNTS = {"records_sent": 10, "records_stored": 10, "lost": 0, "duplicates": 0, "conflicts": 0, "refused": 0, "altered": 0}
GOOD = {**COUNTS, "other_kinds": {"sent": 4, "lost": 0}, "latency_ms": {"p50": 80.0, "p95": 140.0}, "wall_s": 5.5}
REAL = replay_all.DATA


def recordings(*names: str) -> list[Recording]:
    return [Recording(name, 1200, lambda new: new) for name in names]


class Runner:
    """Stands for the demo: one outcome a recording, good unless told otherwise; remembers what it was asked."""

    def __init__(self, **outcomes: Outcome | BaseException) -> None:
        self.outcomes = outcomes
        self.asked: list[str] = []

    def __call__(self, folder: Path, speed: float) -> Outcome:
        self.asked.append(folder.name)
        outcome = self.outcomes.get(folder.name, Outcome(0, GOOD, "fine"))
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


@pytest.fixture
def results(tmp_path: Path) -> Callable[[str], Results]:
    return lambda code="one": Results(tmp_path / "replay.json", code)


def run(results: Results, runner: Runner, *names: str, **options: Any) -> tuple[bool, list[str]]:
    said: list[str] = []
    everything = replay(recordings(*(f"set/{name}" for name in names)), results, runner, speed=60, say=said.append, **options)
    return everything, said


def test_an_interrupted_series_goes_on_with_what_is_left(results: Callable[..., Results]) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(results(), Runner(b=KeyboardInterrupt()), "a", "b", "c")
    again = Runner()
    everything, said = run(results(), again, "a", "b", "c")
    assert everything
    assert again.asked == ["b", "c"]
    assert said[0] == "3 recordings, 1 of them kept from before"
    assert said[-1] == "3 of 3 balance: 30 records of 1.0 h, each stored exactly once"
    assert sum("balanced" in line for line in said) == 3


def test_a_failed_recording_is_told_does_not_stop_the_rest_and_is_replayed_again(results: Callable[..., Results]) -> None:
    broken = Runner(
        a=Outcome(1, {**GOOD, "lost": 1}, "THE ACCOUNT DOES NOT BALANCE"), b=Outcome(3, {}, "cloud: ended\nNext: read …")
    )
    everything, said = run(results(), broken, "a", "b", "c")
    assert not everything
    assert broken.asked == ["a", "b", "c"]
    text = "\n".join(said)
    assert "THE ACCOUNT DOES NOT BALANCE" in text
    assert "Next: read …" in text
    assert said[-1].startswith("1 of 3 balance: 10 records")
    again = Runner()
    assert run(results(), again, "a", "b", "c")[0]
    assert again.asked == ["a", "b"]


def test_changed_programs_and_again_replay_everything(results: Callable[..., Results]) -> None:
    run(results(), Runner(), "a", "b")
    for arguments, options in ((("two",), {}), (("two",), {"again": True})):
        runner = Runner()
        assert run(results(*arguments), runner, "a", "b", **options)[0]
        assert runner.asked == ["a", "b"]
    nothing = Runner()
    assert run(results("two"), nothing, "a", "b")[0]
    assert nothing.asked == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"lost": 1},
        {"duplicates": 1},
        {"conflicts": 1},
        {"refused": 1},
        {"altered": 1},
        {"other_kinds": {"sent": 4, "lost": 1}},
        {"records_stored": 9},
        {"records_sent": 0, "records_stored": 0},
        {"exit": 1},
    ],
)
def test_any_record_unaccounted_for_is_no_balance(wrong: dict[str, Any]) -> None:
    assert balanced({"exit": 0, **GOOD})
    assert not balanced({"exit": 0, **GOOD, **wrong})
    assert not balanced({"exit": 0})


def test_what_is_kept_names_no_place_on_this_machine(results: Callable[..., Results], tmp_path: Path) -> None:
    run(results(), Runner(b=Outcome(3, {}, f"Next: read {tmp_path}/logs/cloud.log")), "a", "b")
    kept = json.loads((tmp_path / "replay.json").read_text())
    assert kept["set/a"] == {**GOOD, "code": "one", "exit": 0, "speed": 60, "recording_s": 1200}
    assert kept["set/b"] == {"code": "one", "exit": 3, "speed": 60, "recording_s": 1200}


def session(name: str, seconds: int, motion: float = 1.0, off_wrist: float = 0.0) -> Session:
    return Session(Path("set"), name, (), datetime(2020, 1, 1, tzinfo=UTC), seconds, motion, off_wrist)


def test_three_sessions_of_a_set_are_chosen_by_what_is_hard_about_them() -> None:
    sessions = [
        session("too-short", 600, off_wrist=0.9),
        session("a-shortest", 1000, off_wrist=0.1),
        session("b-plain", 2000),
        session("c-bare", 9000, off_wrist=0.7),
        session("d-too-long", 13_000, off_wrist=0.8),
        session("e-no-motion", 14_000, motion=0.0),
        session("f-no-motion", 15_000, motion=0.0),
    ]
    assert [s.name for s in chosen(sessions)] == ["a-shortest", "c-bare", "e-no-motion"]
    assert chosen(list(reversed(sessions))) == chosen(sessions)
    # Where a rule finds none, the next shortest.
    assert [s.name for s in chosen(sessions[:4])] == ["a-shortest", "c-bare", "b-plain"]
    assert [s.name for s in chosen(sessions[:2])] == ["a-shortest"]


def e4(folder: Path, seconds: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "TEMP.csv.gz").write_bytes(gzip.compress(("1600000000.0\n4.0\n" + "33.0\n" * 4 * seconds).encode()))
    return folder


def test_recordings_are_found_by_set_and_by_name(tmp_path: Path) -> None:
    folders = [e4(tmp_path / "stress_predict" / name, 100 * number) for number, name in enumerate(("S02", "S05"), 1)]
    found = find(tmp_path, ["stress_predict"])
    assert [(recording.name, recording.seconds) for recording in found] == [
        ("stress_predict/S02", 100),
        ("stress_predict/S05", 200),
    ]
    assert [recording.folder(tmp_path / "unused") for recording in found] == folders
    assert [r.name for r in find(tmp_path, ["stress_predict/S05", "stress_predict"])] == [
        "stress_predict/S05",
        "stress_predict/S02",
    ]


def test_data_that_is_not_there_is_refused_with_the_next_action(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no stress_predict in .*\nNext: .* --data"):
        find(tmp_path)
    e4(tmp_path / "stress_predict" / "S05", 60)
    with pytest.raises(Refused, match=r"no stress_predict/S06 .*\nNext: choose one of stress_predict/S05"):
        find(tmp_path, ["stress_predict/S06"])
    with pytest.raises(Refused, match="of no set that is known"):
        find(tmp_path, ["sleep/1"])
    (tmp_path / "exam_stress").mkdir()
    with pytest.raises(Refused, match=r"exam_stress: .*e4_1hz\.parquet is not there"):
        find(tmp_path, ["exam_stress"])


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, replay_all.__file__, *arguments], capture_output=True, text=True, check=False)


def test_the_command_ends_with_2_and_says_why(tmp_path: Path) -> None:
    absent = command("--data", str(tmp_path / "nowhere"))
    assert absent.returncode == 2
    assert "Next: name the folder" in absent.stderr
    assert command("--speed", "1000").returncode == 2
    assert command("--results", str(tmp_path / "nowhere" / "replay.json")).returncode == 2
    e4(tmp_path / "stress_predict" / "S05", 60)
    (tmp_path / "replay.json").write_text("{")
    broken = command("--data", str(tmp_path), "--only", "stress_predict", "--results", str(tmp_path / "replay.json"))
    assert broken.returncode == 2
    assert "is no JSON" in broken.stderr


def test_a_session_that_cannot_be_read_fails_alone(results: Callable[..., Results], tmp_path: Path) -> None:
    unreadable = session("08-final", 1200)._replace(folder=tmp_path)
    bad = Recording("set/bad", 1200, lambda new: exam_stress.write_e4(unreadable, new))
    said: list[str] = []
    assert not replay([bad, *recordings("set/good")], results(), Runner(), speed=60, say=said.append)
    assert any("e4_1hz.parquet is not there" in line for line in said)
    assert said[-1].startswith("1 of 2 balance")


def test_the_command_replays_through_the_whole_path(tmp_path: Path) -> None:
    write_recording(tmp_path / "stress_predict" / "S01", seconds=40, seed=1)
    kept = tmp_path / "replay.json"
    arguments = ("--data", str(tmp_path), "--only", "stress_predict", "--results", str(kept), "--speed", "20")
    done = command(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 balance: 10 records" in done.stdout
    assert str(tmp_path) not in kept.read_text()
    assert "1 of them kept from before" in command(*arguments).stdout


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data")
def test_of_the_real_sets_thirty_two_recordings_are_chosen() -> None:
    found = find(REAL)
    names = [recording.name for recording in found]
    assert [sum(name.startswith(folder) for name in names) for folder in replay_all.SETS] == [26, 3, 3]
    assert {"exam_stress/08-midterm-2", "nurse_stress/5C_1587674047"} <= set(names)
    assert all(recording.seconds >= replay_all.SHORTEST_S for recording in found)


def test_the_code_hash_follows_the_programs_and_nothing_else(tmp_path: Path) -> None:
    def write(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return code_hash(["package"], "tools/demo.py", root=tmp_path)

    write("tools/demo.py", "from parts import Parts\nimport sys")
    before = write("tools/parts.py", "import json")
    assert write("tools/other.py", "changed = 1") == before
    assert write("package/tests/test_it.py", "changed = 1") == before
    assert write("package/notes.md", "changed") == before
    changed = [write("tools/parts.py", "import re"), write("package/it.py", ""), write("package/model.tflite", "x")]
    assert len({before, *changed}) == 4
    (tmp_path / "package" / "it.py").rename(tmp_path / "package" / "that.py")
    assert code_hash(["package"], "tools/demo.py", root=tmp_path) not in {before, *changed}
