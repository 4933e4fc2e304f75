"""Recordings as they are found in the wild: cut, emptied, garbled. A replay goes on with what is there, and says so."""

import gzip
import math
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from zenmoon_edge.core.features import Features, Window
from zenmoon_edge.core.record import BEATS, CONTACT, WORN
from zenmoon_edge.core.second import Second
from zenmoon_edge.virtual.generated import write_recording
from zenmoon_edge.virtual.recording import REPLAY_MAGIC, Recording, RecordingError

SECONDS = 120
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "stress_predict"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recording(tmp_path_factory.mktemp("e4"), SECONDS, seed=3)


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "e4"))


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


def compress(path: Path, keep: float = 1.0) -> None:
    data = gzip.compress(path.read_bytes(), mtime=0)
    path.with_name(path.name + ".gz").write_bytes(data[: int(len(data) * keep)])
    path.unlink()


def read(folder: Path) -> tuple[list[Second], list[str]]:
    recording = Recording.open(folder)
    return list(recording.seconds()), recording.warnings


def windows(seconds: list[Second]) -> list[Window]:
    features = Features()
    return [window for window in map(features.step, seconds) if window is not None]


def test_a_whole_folder_gives_every_second_without_warnings(folder: Path) -> None:
    seconds, warnings = read(folder)
    assert warnings == []
    assert [second.tick_ms for second in seconds] == [1000 * (i + 1) for i in range(SECONDS)]
    assert {(len(s.acc), len(s.bvp), len(s.eda_us), len(s.temperature_c)) for s in seconds} == {(96, 64, 4, 4)}
    # Heart rate begins ten seconds after the rest and is placed by its own start.
    assert [s.heart_rate_bpm is None for s in seconds] == [True] * 10 + [False] * (SECONDS - 10)
    assert windows(seconds)[-1].quality & (WORN | CONTACT | BEATS) == WORN | CONTACT | BEATS


def test_samples_survive_packing_so_that_a_wearable_sees_what_training_saw(folder: Path) -> None:
    seconds, _ = read(folder)
    assert [Second.unpack(second.pack()) for second in seconds] == seconds


def test_compressed_files_read_the_same(folder: Path) -> None:
    plain, _ = read(folder)
    for path in list(folder.glob("*.csv")):
        compress(path)
    assert read(folder) == (plain, [])


def test_reading_twice_gives_the_same(folder: Path) -> None:
    recording = Recording.open(folder)
    assert list(recording.seconds()) == list(recording.seconds())


def test_a_replay_file_holds_every_second_and_honours_the_limit(folder: Path, tmp_path: Path) -> None:
    recording = Recording.open(folder)
    path = tmp_path / "replay"
    assert recording.write_replay(path) == SECONDS
    data = path.read_bytes()
    assert data.startswith(REPLAY_MAGIC)
    at, seconds = len(REPLAY_MAGIC), []
    while at < len(data):
        length = int.from_bytes(data[at : at + 2], "little")
        seconds.append(Second.unpack(data[at + 2 : at + 2 + length]))
        at += 2 + length
    assert seconds == list(recording.seconds())
    assert recording.write_replay(path, limit_s=30) == 30


@pytest.mark.parametrize("content", [None, b"", b"1700000000.000000, IBI\n"], ids=["missing", "emptied", "header-only"])
def test_without_beats_the_rest_is_replayed(folder: Path, content: bytes | None) -> None:
    if content is None:
        (folder / "IBI.csv").unlink()
    else:
        (folder / "IBI.csv").write_bytes(content)
    seconds, warnings = read(folder)
    assert len(seconds) == SECONDS
    assert any("IBI" in warning for warning in warnings)
    last = windows(seconds)[-1]
    assert last.rmssd is None
    assert not last.quality & BEATS
    assert last.heart_rate is not None


def test_a_truncated_pulse_stream_takes_contact_away_and_shortens_nothing(folder: Path) -> None:
    compress(folder / "BVP.csv", keep=0.5)
    seconds, warnings = read(folder)
    assert len(seconds) == SECONDS
    assert any("BVP" in warning and "cut off" in warning for warning in warnings)
    seen = windows(seconds)
    assert seen[3].quality & CONTACT
    assert not seen[-1].quality & CONTACT
    assert seen[-1].eda is not None


@pytest.mark.parametrize("keep", [0, 5, 11, 20], ids=lambda n: f"{n}-bytes")
def test_a_pulse_stream_cut_in_its_head_counts_as_absent(folder: Path, keep: int) -> None:
    data = gzip.compress((folder / "BVP.csv").read_bytes(), mtime=0)
    (folder / "BVP.csv").unlink()
    (folder / "BVP.csv.gz").write_bytes(data[:keep])
    seconds, warnings = read(folder)
    assert len(seconds) == SECONDS
    assert any("BVP" in warning for warning in warnings)
    assert all(len(second.bvp) == 0 for second in seconds)


def test_a_cut_last_line_is_left_out(folder: Path) -> None:
    path = folder / "TEMP.csv"
    path.write_bytes(path.read_bytes()[:-3])
    seconds, warnings = read(folder)
    assert len(seconds[-1].temperature_c) == 3
    assert any("TEMP" in warning for warning in warnings)


def test_samples_that_are_no_numbers_are_absent_and_keep_their_place(folder: Path) -> None:
    whole, _ = read(folder)
    edit(folder / "EDA.csv", lambda lines: [*lines[:42], "nan", "inf", "1,2", "�?", *lines[46:]])
    edit(folder / "ACC.csv", lambda lines: [*lines[:2], "1,2", "a,b,c", *lines[4:]])
    seconds, warnings = read(folder)
    assert len(seconds[10].eda_us) == 0
    assert seconds[11:] == whole[11:]
    assert len(seconds[0].acc) == 96 - 6
    assert len([w for w in warnings if "no numbers" in w]) == 2


def test_a_signal_that_ends_early_is_absent_afterwards(folder: Path) -> None:
    edit(folder / "EDA.csv", lambda lines: lines[: 2 + 4 * 60])
    seconds, warnings = read(folder)
    assert len(seconds) == SECONDS
    assert len(seconds[59].eda_us) == 4
    assert len(seconds[60].eda_us) == 0
    assert any("EDA ends after 60" in warning for warning in warnings)
    assert not windows(seconds)[-1].quality & WORN


def test_files_are_placed_by_their_own_start(folder: Path) -> None:
    edit(folder / "TEMP.csv", lambda lines: [f"{float(lines[0]) + 5:.6f}", *lines[1:]])
    seconds, _ = read(folder)
    assert [len(s.temperature_c) for s in seconds[:7]] == [0] * 5 + [4] * 2


def test_missed_beats_are_marked(folder: Path) -> None:
    (folder / "IBI.csv").write_text("1700000000.000000, IBI\n5.0,0.8\n5.8,0.8\n9.0,0.8\nfoo,bar\n9.8,0.8\n")
    seconds, warnings = read(folder)
    assert list(seconds[5].intervals_ms) == [0.0, 800.0, 800.0]
    assert list(seconds[9].intervals_ms) == [0.0, 800.0, 800.0]
    assert any("IBI: 1 unreadable" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("name", "line"),
    [("EDA", "1e39"), ("EDA", "-1e308"), ("BVP", "1e308"), ("TEMP", "-1e308"), ("HR", "1e308"), ("ACC", "1e308,0,-1e308")],
)
def test_numbers_beyond_every_sensor_spoil_only_their_own_sample(folder: Path, name: str, line: str) -> None:
    whole, _ = read(folder)
    edit(folder / f"{name}.csv", lambda lines: [*lines[:20], line, *lines[21:]])
    seconds, _ = read(folder)
    assert sum(a != b for a, b in zip(seconds, whole, strict=True)) == 1
    assert [Second.unpack(second.pack()) for second in seconds] == seconds
    assert all(abs(value) < math.inf for second in seconds for value in second.eda_us)


@pytest.mark.parametrize("name", ["ACC", "EDA", "TEMP", "BVP", "HR", "IBI"])
@pytest.mark.parametrize("tail", [b"\n", b"\r\n" * 300], ids=["one", "many"])
def test_empty_lines_at_the_end_are_no_samples(folder: Path, name: str, tail: bytes) -> None:
    whole = read(folder)
    with (folder / f"{name}.csv").open("ab") as file:
        file.write(tail)
    assert read(folder) == whole


def test_an_empty_line_between_samples_is_an_absent_one(folder: Path) -> None:
    whole, _ = read(folder)
    edit(folder / "EDA.csv", lambda lines: [*lines[:42], "", "", *lines[44:]])
    seconds, warnings = read(folder)
    assert len(seconds[10].eda_us) == 2
    assert seconds[11:] == whole[11:]
    assert any("EDA: 2 samples" in warning for warning in warnings)


def test_line_ends_of_another_system_read_the_same(folder: Path) -> None:
    whole = read(folder)
    for path in folder.glob("*.csv"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read(folder) == whole


def test_intervals_that_no_heart_makes_are_bounded(folder: Path) -> None:
    rows = ["5.0,1e308", "5.1,-1e308", "1e308,0.8", "-1e308,0.8", *["9.0,0.8"] * 600]
    (folder / "IBI.csv").write_text("\n".join(["1700000000.000000, IBI", *rows]) + "\n")
    seconds, warnings = read(folder)
    assert list(seconds[5].intervals_ms) == [0.0, 6553.5, 0.0, 0.0]
    assert [Second.unpack(second.pack()) for second in seconds] == seconds
    assert any("IBI" in warning for warning in warnings)


def test_a_line_without_end_is_never_held_whole(folder: Path) -> None:
    with gzip.open(folder / "BVP.csv.gz", "wb") as file:
        file.write((folder / "BVP.csv").read_bytes())
        for _ in range(64):
            file.write(bytes(1 << 20))
    (folder / "BVP.csv").unlink()
    tracemalloc.start()
    seconds, warnings = read(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(seconds) == SECONDS
    assert any("BVP" in warning and "no end" in warning for warning in warnings)
    assert peak < 16 << 20


def refused(folder: Path) -> RecordingError:
    with pytest.raises(RecordingError) as caught:
        Recording.open(folder)
    assert len(caught.value.detail) > 20, "a refusal names cause and next action"
    return caught.value


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere").reason == "missing"


@pytest.mark.parametrize("name", ["ACC", "EDA", "TEMP"])
def test_a_missing_or_empty_required_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / f"{name}.csv").write_bytes(b"")
    error = refused(folder)
    assert (error.reason, name in error.detail) == ("empty", True)
    (folder / f"{name}.csv").unlink()
    error = refused(folder)
    assert (error.reason, name in error.detail) == ("missing", True)


@pytest.mark.parametrize("name", ["ACC", "EDA", "TEMP"])
def test_a_required_file_without_a_sample_is_refused_by_name(folder: Path, name: str) -> None:
    edit(folder / f"{name}.csv", lambda lines: [*lines[:2], "", ""])
    error = refused(folder)
    assert (error.reason, name in error.detail) == ("empty", True)


@pytest.mark.parametrize("rate", ["0", "-4", "8.000000", "nan", "four", ""])
def test_a_rate_that_is_not_the_sensors_is_refused(folder: Path, rate: str) -> None:
    edit(folder / "EDA.csv", lambda lines: [lines[0], rate, *lines[2:]])
    error = refused(folder)
    assert error.reason == "rate"
    assert "EDA" in error.detail


def test_a_rate_that_differs_between_axes_is_refused(folder: Path) -> None:
    edit(folder / "ACC.csv", lambda lines: [lines[0], "32.0, 32.0, 64.0", *lines[2:]])
    assert refused(folder).reason == "rate"


@pytest.mark.parametrize("start", ["yesterday", "-5", "nan", "1e300", "253402300800"])
def test_a_start_that_cannot_be_read_is_refused(folder: Path, start: str) -> None:
    edit(folder / "HR.csv", lambda lines: [start, *lines[1:]])
    assert refused(folder).reason == "start"


def test_files_of_different_sessions_are_refused(folder: Path) -> None:
    edit(folder / "HR.csv", lambda lines: ["1600000000", *lines[1:]])
    assert refused(folder).reason == "start"


def test_beats_of_another_session_are_refused(folder: Path) -> None:
    edit(folder / "IBI.csv", lambda lines: ["1700007200.000000, IBI", *lines[1:]])
    with pytest.raises(RecordingError) as caught:
        read(folder)
    assert (caught.value.reason, "IBI" in caught.value.detail) == ("start", True)


def test_a_start_beyond_every_calendar_is_refused_even_when_all_agree(folder: Path) -> None:
    for path in folder.glob("*.csv"):
        edit(path, lambda lines: [lines[0].replace("17000000", "5000000000"), *lines[1:]])
    assert refused(folder).reason == "start"


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/stress_predict")
def test_a_real_session_is_read_whole() -> None:
    seconds, warnings = read(REAL / "S05")
    assert warnings == []
    assert len(seconds) == 3278
    seen = windows(seconds)
    assert sum(bool(window.quality & WORN) for window in seen) > 0.99 * len(seen)
    assert sum(bool(window.quality & CONTACT) for window in seen) > 0.99 * len(seen)
