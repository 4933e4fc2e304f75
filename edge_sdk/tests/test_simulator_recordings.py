"""The live side: a simulated wrist for the virtual wearable, read by the firmware's own features and model."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import zenmoon_edge.models
from zenmoon_edge.core.features import Features
from zenmoon_edge.core.record import BEATS, CONTACT, UNSATURATED, WORN
from zenmoon_edge.core.strain import Strain
from zenmoon_edge.simulator import (
    Child,
    Life,
    SimulatorError,
    lesson_with_test,
    truth,
    write_lesson_with_test,
    write_recording,
)
from zenmoon_edge.virtual.recording import Recording

MODEL = Path(zenmoon_edge.models.__file__).with_name("wearable.tflite").read_bytes()
SCHOOL = datetime(2026, 9, 9, 7, 55, tzinfo=UTC)
GOOD = WORN | CONTACT | UNSATURATED


def steps(folder: Path) -> list[tuple]:
    """(window, strain 0–1, ready) every 4 s, as the wearable computes them."""
    features, strain = Features(), Strain(MODEL)
    windows = (window for window in map(features.step, Recording.open(folder).seconds()) if window is not None)
    return [(window, level / 255, ready) for window in windows for level, _, ready in [strain.step(window.inputs)]]


@pytest.mark.parametrize("seed", [2, 7])
def test_the_shipped_model_sees_the_test_and_calm_before_and_after_it(tmp_path: Path, seed: int) -> None:
    seen = steps(write_lesson_with_test(Child(seed=seed), tmp_path))
    minute = np.array([window.tick_ms / 60_000 for window, _, _ in seen])
    level = np.array([level for _, level, _ in seen])
    ready = np.array([ready for _, _, ready in seen])
    run = longest = 0
    for high in (level >= 0.75).tolist():
        run = run + 1 if high else 0
        longest = max(longest, run)
    assert longest * 4 / 60 >= 10
    assert level[(minute > 15) & (minute < 32)].mean() > 0.75
    assert level[ready & (minute < 9)].mean() < 0.4
    assert level[minute > 46].max() < 0.5
    assert all(window.quality & GOOD == GOOD for window, _, _ in seen)


def test_an_early_test_is_seen_too(tmp_path: Path) -> None:
    seen = steps(write_lesson_with_test(Child(seed=7), tmp_path, seconds=1200, test_minute=4))
    high = [window.tick_ms / 60_000 for window, level, _ in seen if level >= 0.75]
    assert 4 < high[0] < 9
    assert max(level for window, level, ready in seen if ready and window.tick_ms < 4 * 60_000) < 0.5


def test_the_latent_strain_of_the_lesson_is_the_truth() -> None:
    lesson = lesson_with_test(Child(seed=7))
    assert len(lesson.latents.strain) == 60
    assert lesson.latents.strain[:9].max() < 0.5
    assert lesson.latents.strain[13:35].min() > 0.75
    assert lesson.latents.strain[55:].max() < 0.5
    assert len(lesson.drive.heart_rate_bpm) == 3600


def test_the_lesson_is_the_same_whenever_it_is_written(tmp_path: Path) -> None:
    folders = [write_lesson_with_test(Child(seed=1), tmp_path / name, seconds=90) for name in ("a", "b")]
    other = write_lesson_with_test(Child(seed=3), tmp_path / "c", seconds=90)
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes()
    assert (folders[0] / "EDA.csv").read_bytes() != (other / "EDA.csv").read_bytes()
    named = write_lesson_with_test(Child(seed=1), tmp_path / "d", seconds=90, begin=SCHOOL)
    assert Recording.open(named).start == SCHOOL


def test_a_recording_is_what_the_life_says(tmp_path: Path) -> None:
    child = Child(seed=8)
    folder = write_recording(child, SCHOOL, 1200, tmp_path)
    recording = Recording.open(folder)
    assert recording.start == SCHOOL
    seconds = list(recording.seconds())
    assert recording.warnings == []
    assert len(seconds) == 1200
    drive = Life(child).drive(int(SCHOOL.timestamp()), 1200)
    features = Features()
    windows = [window for window in map(features.step, seconds) if window is not None]
    rates = np.array([window.heart_rate / 2 for window in windows[5:]])
    np.testing.assert_allclose(rates.mean(), drive.heart_rate_bpm.mean(), rtol=0.03)
    np.testing.assert_allclose(np.mean([window.eda for window in windows]) / 100, drive.tonic_us.mean(), rtol=0.1)
    np.testing.assert_allclose(np.mean([window.temperature for window in windows]) / 100, drive.skin_c.mean(), atol=0.1)
    still = [window.rmssd for window in windows[20:] if window.quality & BEATS]
    np.testing.assert_allclose(np.median(still), np.median(drive.rmssd_ms), rtol=0.25)


def test_a_band_on_its_charger_is_not_taken_for_a_wrist(tmp_path: Path) -> None:
    child = Child(seed=8)
    day = truth(child, SCHOOL, SCHOOL + timedelta(days=1))
    charging = int(day.ts_ms[~day.epochs.working][0]) // 1000
    begin = datetime.fromtimestamp(charging - 300, UTC)
    features = Features()
    seconds = Recording.open(write_recording(child, begin, 900, tmp_path)).seconds()
    windows = [window for window in map(features.step, seconds) if window is not None]
    assert all(window.quality & GOOD == GOOD for window in windows[5:55])
    assert not any(window.quality & (WORN | CONTACT) for window in windows[80:])


def test_a_recording_spans_midnight(tmp_path: Path) -> None:
    child = Child(seed=8)
    midnight = datetime(2026, 9, 9, 22, tzinfo=UTC)
    folder = write_recording(child, midnight - timedelta(seconds=30), 60, tmp_path)
    assert len(list(Recording.open(folder).seconds())) == 60


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    for write in (
        lambda: write_recording(Child(seed=1), SCHOOL, 5, tmp_path),
        lambda: write_recording(Child(seed=1), SCHOOL.replace(tzinfo=None), 60, tmp_path),
        lambda: write_lesson_with_test(Child(seed=1), tmp_path, seconds=5),
    ):
        with pytest.raises(SimulatorError) as caught:
            write()
        assert caught.value.reason == "span"
