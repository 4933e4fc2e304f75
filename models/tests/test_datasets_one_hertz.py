"""Sessions that were published once a second become E4 folders that hold what was published, when it was, and nothing else."""

import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet, table
from zenmoon_edge.core.features import Features, Window
from zenmoon_edge.core.record import CONTACT, STILL, WORN
from zenmoon_edge.core.second import Second
from zenmoon_edge.virtual.recording import Recording
from zenmoon_models.datasets import exam_stress, nurse_stress
from zenmoon_models.errors import ModelsError

START = 1_540_000_000
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
Row = dict[str, Any]


def exam_row(second: int, **other: Any) -> Row:
    row = {"student": 8, "exam": "Midterm 2", "unix_s": START + second, "eda": 0.5, "temp": 31.0, "hr": 80.0}
    return row | {"acc_mag_mean": 1.0, "acc_mag_std": 0.1, "acc_x": 0.0, "acc_y": 0.6, "acc_z": 0.8} | other


def nurse_row(second: int, **other: Any) -> Row:
    row = {"nurse": "5C", "session": "5C_1", "unix_s": START + second, "hr": 70.0, "eda": 1.5, "temp": 33.0}
    return row | {"acc_mag_mean": 1.0, "acc_mag_std": 0.0} | other


def write(folder: Path, rows: list[Row], name: str = "e4_1hz.parquet") -> Path:
    folder.mkdir(exist_ok=True)
    parquet.write_table(table({column: [row[column] for row in rows] for column in rows[0]}), folder / name)
    return folder


def exam_set(folder: Path, rows: list[Row], beats: list[tuple[float, float]] | None = None) -> Path:
    beat = {"student": 8, "exam": "Midterm 2"}
    ibi = [beat | {"unix_s": START + at, "ibi_s": interval} for at, interval in beats or [(1.0, 0.75)]]
    write(folder, [*ibi, {"student": 9, "exam": "Final", "unix_s": START + 0.1, "ibi_s": 0.5}], "ibi.parquet")
    return write(folder, rows)


def replayed(reader: ModuleType, data: Path, new: Path) -> tuple[Recording, list[Second]]:
    [session] = reader.sessions(data)
    recording = Recording.open(reader.write_e4(session, new))
    return recording, list(recording.seconds())


def windows(seconds: list[Second]) -> list[Window]:
    features = Features()
    return [window for second in seconds if (window := features.step(second))]


def test_what_was_published_comes_out_of_the_folder_again(tmp_path: Path) -> None:
    rows = [exam_row(s, eda=0.5 + s, temp=31.0 + s / 100, hr=80.0 + s) for s in range(4)]
    data = exam_set(tmp_path / "exam", rows, [(1.5, 0.75), (2.25, 0.75), (3.9, 0.8)])
    recording, seconds = replayed(exam_stress, data, tmp_path / "e4")
    assert recording.start == datetime.fromtimestamp(START, UTC)
    assert [second.eda_us for second in seconds] == [[0.5 + s] * 4 for s in range(4)]
    assert [second.temperature_c for second in seconds] == [[31.0 + s / 100] * 4 for s in range(4)]
    assert [second.heart_rate_bpm for second in seconds] == [80.0, 81.0, 82.0, 83.0]
    # A beat stands in the second that it falls into; a 0 marks that others were missed before it.
    assert [second.intervals_ms for second in seconds] == [[], [0.0, 750.0], [750.0], [0.0, 800.0]]
    assert all(second.bvp == [] for second in seconds)


def test_motion_keeps_the_mean_the_deviation_and_the_direction_of_its_second(tmp_path: Path) -> None:
    _, seconds = replayed(exam_stress, exam_set(tmp_path / "exam", [exam_row(s) for s in range(4)]), tmp_path / "e4")
    samples = [tuple(seconds[0].acc[i : i + 3]) for i in range(0, 96, 3)]
    # 1 g ± 0.1 g along (0, 0.6, 0.8), in 1/64 g
    assert samples == [(0, 42, 56), (0, 35, 46)] * 16
    [window] = windows(seconds)
    assert window.motion == pytest.approx(100, abs=8)  # mg
    assert not window.quality & STILL


def test_without_a_direction_the_magnitude_lies_on_one_axis(tmp_path: Path) -> None:
    data = write(tmp_path / "nurse", [nurse_row(s, acc_mag_std=0.125) for s in range(4)])
    _, seconds = replayed(nurse_stress, data, tmp_path / "e4")
    assert seconds[0].acc == [0, 0, 72, 0, 0, 56] * 16
    assert windows(seconds)[0].motion == 125
    data = exam_set(tmp_path / "exam", [exam_row(0, acc_x=0.0, acc_y=0.0, acc_z=0.0, acc_mag_std=0.0)])
    _, seconds = replayed(exam_stress, data, tmp_path / "e4b")
    assert seconds[0].acc == [0, 0, 64] * 32


def test_beyond_two_g_an_axis_is_cut_off_as_the_sensor_does(tmp_path: Path) -> None:
    _, seconds = replayed(nurse_stress, write(tmp_path / "nurse", [nurse_row(0, acc_mag_mean=2.5)]), tmp_path / "e4")
    assert set(seconds[0].acc) == {0, 127}


def test_absent_values_are_absent_and_a_gap_keeps_its_length(tmp_path: Path) -> None:
    rows = [nurse_row(0, hr=None, eda=None), nurse_row(1, temp=math.nan, acc_mag_std=None), nurse_row(5)]
    recording, seconds = replayed(nurse_stress, write(tmp_path / "nurse", list(reversed(rows))), tmp_path / "e4")
    assert len(seconds) == 6
    assert (seconds[0].heart_rate_bpm, seconds[0].eda_us, len(seconds[0].acc)) == (None, [], 96)
    assert (seconds[1].heart_rate_bpm, seconds[1].temperature_c, seconds[1].acc) == (70.0, [], [])
    assert [second for second in seconds[2:5] if second.eda_us or second.acc or second.temperature_c] == []
    assert (seconds[5].heart_rate_bpm, seconds[5].eda_us, seconds[5].tick_ms) == (70.0, [1.5] * 4, 6000)
    assert "HR: 4 samples are no numbers and count as absent" in recording.warnings
    assert "IBI is missing or empty: no heart rate variability" in recording.warnings


@settings(max_examples=20, deadline=None)
@given(
    st.dictionaries(
        st.integers(0, 90),
        st.tuples(st.none() | st.floats(0, 90), st.none() | st.floats(20, 40), st.none() | st.floats(30, 220)),
        min_size=1,
    )
)
def test_every_second_holds_what_was_published_of_it(published: dict[int, tuple[float | None, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [nurse_row(s, eda=eda, temp=temp, hr=rate) for s, (eda, temp, rate) in published.items()]
        first = min(published)
        recording, seconds = replayed(nurse_stress, write(Path(folder) / "nurse", rows), Path(folder) / "e4")
        assert recording.start == datetime.fromtimestamp(START + first, UTC)
        assert len(seconds) == max(published) - first + 1
        for second, at in zip(seconds, range(first, max(published) + 1), strict=True):
            eda, temp, rate = published.get(at, (None, None, None))
            assert second.eda_us == ([] if eda is None else [pytest.approx(eda, abs=1e-5)] * 4)
            assert second.temperature_c == ([] if temp is None else [pytest.approx(temp, abs=0.011)] * 4)
            assert second.heart_rate_bpm == (None if rate is None else pytest.approx(rate, abs=0.011))
            assert len(second.acc) == (96 if at in published else 0)


def test_a_session_without_motion_is_replayed_without_motion(tmp_path: Path) -> None:
    still = {"acc_mag_mean": None, "acc_mag_std": None}
    rows = [nurse_row(s, **still) for s in range(7)] + [nurse_row(s, session="5C_2") for s in range(4)]
    data = write(tmp_path / "nurse", rows)
    session, other = nurse_stress.sessions(data)
    assert (session.motion, other.motion) == (0.0, 1.0)
    [window] = windows(list(Recording.open(nurse_stress.write_e4(session, tmp_path / "e4")).seconds()))
    assert window.motion is None
    assert window.quality & WORN
    assert not window.quality & CONTACT  # there is no pulse wave to tell it by


def test_sessions_are_those_whose_seconds_are_there(tmp_path: Path) -> None:
    rows = [exam_row(s, student=10, exam="Final", eda=0.01 if s < 2 else 1.0) for s in range(8)]
    rows += [exam_row(s, eda=None) for s in (0, 3)]
    final, midterm = sorted(exam_stress.sessions(exam_set(tmp_path / "exam", rows)), key=lambda s: -s.seconds)
    assert (final.name, final.seconds, final.off_wrist) == ("10-final", 8, 0.25)
    assert (midterm.name, midterm.seconds, midterm.off_wrist) == ("08-midterm-2", 4, 0.0)
    assert final.start == datetime.fromtimestamp(START, UTC)


def test_the_digest_changes_with_any_byte_of_any_table(tmp_path: Path) -> None:
    data = exam_set(tmp_path / "exam", [exam_row(0)])
    before = exam_stress.digest(data)
    exam_set(data, [exam_row(0)], [(1.0, 0.751)])
    changed = exam_stress.digest(data)
    exam_set(data, [exam_row(0, eda=0.51)])
    assert len({before, changed, exam_stress.digest(data)}) == 3
    (data / "ibi.parquet").unlink()
    with pytest.raises(ModelsError, match=r"ibi\.parquet is not there"):
        exam_stress.digest(data)


def refusal(action: Callable[[], object]) -> str:
    with pytest.raises(ModelsError) as caught:
        action()
    assert caught.value.reason == "data"
    return caught.value.detail


def test_another_table_is_refused_with_the_columns_that_it_lacks(tmp_path: Path) -> None:
    assert "e4_1hz.parquet is not there" in refusal(lambda: nurse_stress.sessions(tmp_path))
    row = {name: value for name, value in nurse_row(0).items() if name not in {"temp", "acc_mag_mean"}}
    data = write(tmp_path / "nurse", [row])
    assert "no column acc_mag_mean, temp" in refusal(lambda: nurse_stress.sessions(data))
    assert "no column exam, student" in refusal(lambda: exam_stress.sessions(write(data, [nurse_row(0)])))
    assert "something else than numbers" in refusal(lambda: nurse_stress.sessions(write(data, [nurse_row(0, eda="high")])))
    assert "no unix seconds" in refusal(lambda: nurse_stress.sessions(write(data, [nurse_row(0), nurse_row(1, unix_s=None)])))
    (data / "e4_1hz.parquet").write_bytes(b"PAR1 and then no more")
    assert "cannot be read" in refusal(lambda: nurse_stress.sessions(data))


def test_times_that_cannot_be_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    def converted(rows: list[Row]) -> Path:
        return nurse_stress.write_e4(nurse_stress.sessions(write(tmp_path / "nurse", rows))[0], tmp_path / "e4")

    assert "twice or broken" in refusal(lambda: converted([nurse_row(0), nurse_row(1), nurse_row(1)]))
    assert "twice or broken" in refusal(lambda: converted([nurse_row(0.0), nurse_row(1.5)]))  # type: ignore[arg-type]
    assert "an E4 for 60 at most" in refusal(lambda: converted([nurse_row(0), nurse_row(61 * 3600)]))
    assert "no unix seconds" in refusal(lambda: converted([nurse_row(0, unix_s=-5)]))
    assert "no unix seconds" in refusal(lambda: converted([nurse_row(0, unix_s=START * 1000)]))
    assert not (tmp_path / "e4").exists()


def test_two_sessions_never_mix_in_one_folder(tmp_path: Path) -> None:
    data = write(tmp_path / "nurse", [nurse_row(s) for s in range(4)])
    [session] = nurse_stress.sessions(data)
    nurse_stress.write_e4(session, tmp_path / "e4")
    assert "is not empty" in refusal(lambda: nurse_stress.write_e4(session, tmp_path / "e4"))


def test_without_pyarrow_the_command_that_installs_it_is_named(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["pyarrow"] = sys.modules["pyarrow.parquet"] = None
from zenmoon_models.datasets import nurse_stress
from zenmoon_models.errors import ModelsError
try:
    nurse_stress.sessions({str(tmp_path)!r})
except ModelsError as error:
    print(error.reason, error.detail)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found == "extra pyarrow is not installed: run `pip install 'zenmoon-models[datasets]'`\n"


@pytest.mark.skipif(not (DATA / "exam_stress").is_dir(), reason="needs ../shared/data/exam_stress")
def test_the_real_exam_set_has_seven_students_at_three_exams(tmp_path: Path) -> None:
    sessions = exam_stress.sessions(DATA / "exam_stress")
    assert len(sessions) == 21
    assert len({session.name[:2] for session in sessions}) == 7
    session = next(session for session in sessions if session.name == "08-midterm-2")
    recording = Recording.open(exam_stress.write_e4(session, tmp_path / "e4"))
    seconds = list(recording.seconds())
    assert len(seconds) == session.seconds == 9962
    assert sum(1 for second in seconds for interval in second.intervals_ms if interval) == 60
    published = parquet.read_table(
        DATA / "exam_stress" / "e4_1hz.parquet", filters=[("student", "=", 8), ("exam", "=", "Midterm 2")]
    ).to_pylist()
    for second, row in zip(seconds, published, strict=True):
        assert (second.heart_rate_bpm is None) == (row["hr"] is None)
        assert abs((second.heart_rate_bpm or 0) - (row["hr"] or 0)) < 0.011
        assert len(second.eda_us) == (0 if row["eda"] is None else 4)
        assert all(abs(value - row["eda"]) < 1e-6 for value in second.eda_us)


@pytest.mark.skipif(not (DATA / "nurse_stress").is_dir(), reason="needs ../shared/data/nurse_stress")
def test_the_real_nurse_set_has_two_nurses(tmp_path: Path) -> None:
    sessions = nurse_stress.sessions(DATA / "nurse_stress")
    assert {session.name.partition("_")[0] for session in sessions} == {"15", "5C"}
    session = next(session for session in sessions if session.name == "15_1595970459")
    assert len(list(Recording.open(nurse_stress.write_e4(session, tmp_path / "e4")).seconds())) == 68
