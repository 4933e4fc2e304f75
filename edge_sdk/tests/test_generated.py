"""The generated recording stands in for a real one: same files, same shape, a body's numbers, the same every time."""

from pathlib import Path

import pytest
from zenmoon_edge.core.features import Features
from zenmoon_edge.core.record import BEATS, CONTACT, UNSATURATED, WORN
from zenmoon_edge.virtual.generated import Body, write_recording
from zenmoon_edge.virtual.recording import Recording

SECONDS = 600


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("generated"), SECONDS, seed=11)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(folder: Path, tmp_path: Path) -> None:
    again = write_recording(tmp_path / "again", SECONDS, seed=11)
    other = write_recording(tmp_path / "other", SECONDS, seed=12)
    for path in folder.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()
        assert (other / path.name).read_bytes() != path.read_bytes()


def test_a_generated_body_is_alive_and_worn(folder: Path) -> None:
    recording = Recording.open(folder)
    features = Features()
    windows = [window for window in map(features.step, recording.seconds()) if window is not None]
    assert recording.warnings == []
    assert len(windows) == SECONDS // 4
    good = WORN | CONTACT | UNSATURATED
    assert all(window.quality & good == good for window in windows)
    assert sum(bool(window.quality & BEATS) for window in windows[15:]) > 0.7 * len(windows[15:])
    assert all(120 < window.heart_rate < 280 for window in windows[3:])


def test_arousal_raises_heart_rate_and_conductance_and_lowers_variability(folder: Path) -> None:
    features = Features()
    windows = [window for window in map(features.step, Recording.open(folder).seconds()) if window is not None]
    calm, aroused = windows[20:45], windows[65:95]

    def mean(rows: list, field: str) -> float:
        values = [getattr(row, field) for row in rows if getattr(row, field) is not None]
        return sum(values) / len(values)

    assert mean(aroused, "heart_rate") > mean(calm, "heart_rate") + 10
    assert mean(aroused, "eda") > 1.2 * mean(calm, "eda")
    assert mean(aroused, "rmssd") < mean(calm, "rmssd")


def test_the_body_can_be_chosen(tmp_path: Path) -> None:
    folder = write_recording(tmp_path, 60, seed=1, body=Body(heart_bpm=130.0))
    rates = [s.heart_rate_bpm for s in Recording.open(folder).seconds() if s.heart_rate_bpm is not None]
    assert all(110 < rate < 175 for rate in rates)


def test_a_session_too_short_for_a_heart_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 20"):
        write_recording(tmp_path, 10, seed=1)
