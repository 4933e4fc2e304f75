"""The simulator at the command line."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from zenmoon_edge.simulator.__main__ import main
from zenmoon_edge.virtual.recording import Recording

WEEK = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
END = ["--end", "2026-10-26T08:00:00+01:00"]


def test_history_writes_items_and_their_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, known = tmp_path / "items.jsonl", tmp_path / "truth.npz"
    assert main(["history", "--days", "2", *END, "--seed", "9", "--out", str(out), "--truth", str(known)]) == 0
    items = [json.loads(line) for line in out.read_text().splitlines()]
    with np.load(known) as truth:
        sent = truth["sent"]
        assert len(sent) == 2 * 1440
        assert [item["tick_ms"] for item in items if item["kind"] == "epoch"] == truth["ts_ms"][sent].tolist()
        assert truth["strain"].max() <= 1
    assert sum(item["kind"] == "sleep" for item in items) in {1, 2}
    said = capsys.readouterr().out
    assert "not validated on people" in said
    assert "epoch" in said


def test_recording_writes_a_folder_that_replays(tmp_path: Path) -> None:
    life = ["recording", "--begin", "2026-10-20T08:00:00+02:00", "--seconds", "40", "--out", str(tmp_path / "life")]
    lesson = ["recording", "--lesson", "--seconds", "40", "--out", str(tmp_path / "lesson")]
    assert main(life) == main(lesson) == 0
    for name in ("life", "lesson"):
        assert len(list(Recording.open(tmp_path / name).seconds())) == 40


def test_draw_writes_a_picture_of_each_date(tmp_path: Path) -> None:
    out = tmp_path / "week.svg"
    trip = ["--trip", "2026-10-23:America/New_York", "--holiday", "2026-10-20:2026-10-26"]
    assert main(["draw", "--end", "2026-10-25T00:00:00-04:00", *trip, "--out", str(out)]) == 0
    texts = ["".join(element.itertext()) for element in ET.parse(out).iter() if element.tag.endswith("text")]
    assert any("not validated on people" in text for text in texts)
    assert [text for text in texts if "Oct" in text] == [f"{day} {18 + n:02d} Oct" for n, day in enumerate(WEEK)]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["history", "--zone", "Mars/Olympus", "--out", "{}/a"], "Mars/Olympus"),
        (["history", "--age", "30", "--out", "{}/a"], "age 30"),
        (["history", "--days", "0", *END, "--out", "{}/a"], "no whole minute"),
        (["history", "--days", "1", *END, "--out", "{}/no/folder"], "--out"),
        (["recording", "--lesson", "--seconds", "3", "--out", "{}/a"], "at least 20"),
    ],
)
def test_bad_input_exits_2_and_names_the_cause(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.format(tmp_path) for argument in arguments]) == 2
    assert named in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["recording", "--out", "a"], ["history", "--end", "2026-10-26T08:00:00", "--out", "a"], ["draw", "--trip", "x", "--out", "a"]],
)
def test_arguments_that_cannot_be_read_exit_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "error" in capsys.readouterr().err
