"""What a folder of strangers says of the shipped model, and what it must not be able to say."""

import gzip
import hashlib
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import zenmoon_edge.models
from pyarrow import parquet, table
from zenmoon_edge.virtual.generated import START, write_recording
from zenmoon_models.errors import ModelsError
from zenmoon_models.evaluation import reference, stress, windows
from zenmoon_models.evaluation.windows import Windows
from zenmoon_models.tinylstm import floating, scores

SECONDS = 600
PEOPLE = ("S31", "S32", "S33")
MODEL = Path(zenmoon_edge.models.__file__).with_name("wearable.tflite")
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
FLOAT = floating.FOLDER / "wearable.npz"
Label = tuple[int, int, int]


def labels_of(person: str) -> list[Label]:
    # The generated episode is the middle third.
    return [(int(person[1:]), START + s, int(SECONDS / 3 <= s < SECONDS * 2 / 3)) for s in range(SECONDS)]


def label_table(rows: list[Label]) -> str:
    return "\n".join(["Participant,HR,respr,Time(sec),Label", *(f"{p},80.0,12.0,{t},{y}" for p, t, y in rows)]) + "\n"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for person in (*PEOPLE, "S40"):
        write_recording(folder / person, SECONDS, seed=int(person[1:]))
    return folder


def made(folder: Path, recordings: Path, people: tuple[str, ...] = PEOPLE, *, text: str | None = None) -> Path:
    """A data folder of its own; the recordings are copied, so that a test may break them."""
    folder.mkdir(exist_ok=True)
    for person in people:
        shutil.copytree(recordings / person, folder / person)
    rows = [row for person in people for row in labels_of(person)]
    (folder / "labels_hr_rsp_binary.csv").write_text(label_table(rows) if text is None else text)
    return folder


def silent(_: str) -> None:
    """Nobody wants progress in a test."""


def evaluate(folder: Path, model: Path = MODEL) -> dict[str, Any]:
    return stress.evaluate(folder, model=model, say=silent)


def with_card(folder: Path, **facts: Any) -> Path:
    """The shipped model beside a card that says something else."""
    folder.mkdir()
    card = json.loads(MODEL.with_suffix(".json").read_text("utf-8")) | facts
    (folder / "wearable.json").write_text(json.dumps(card))
    return Path(shutil.copy(MODEL, folder))


def refusal(folder: Path) -> str:
    with pytest.raises(ModelsError) as caught:
        evaluate(folder)
    assert caught.value.reason == "data"
    return caught.value.detail


@pytest.fixture(scope="module")
def result(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return evaluate(made(tmp_path_factory.mktemp("whole"), recordings))


def test_the_keys_are_those_of_the_contract(result: dict[str, Any]) -> None:
    assert list(result)[:7] == ["dataset", "people", "rows", "in_training", "model", "controls", "per_person"]
    assert (result["dataset"], result["people"], result["in_training"]) == ("stress_predict", 3, [])
    assert {"name", "auroc", "balanced_accuracy", "f1", "auroc_int8", "flips", "ci95"} <= result["model"].keys()
    assert result["model"]["name"] == json.loads(MODEL.with_suffix(".json").read_text("utf-8"))["name"]
    low, high = result["model"]["ci95"]["auroc"]
    assert low <= result["model"]["auroc"] <= high
    assert list(result["controls"]) == ["clock_only", "logistic_regression", "leaky_split"]
    assert all(0 <= control["auroc"] <= 1 for control in result["controls"].values())
    assert [set(person) for person in result["per_person"]] == [{"person", "n", "auroc"}] * 3
    assert sum(person["n"] for person in result["per_person"]) == result["rows"]
    json.dumps(result, allow_nan=False)


def test_the_generated_episode_is_told_from_rest_and_the_clock_tells_it_better(result: dict[str, Any]) -> None:
    assert result["model"]["auroc_int8"] > 0.7
    # Everybody's episode comes at the same time: nothing of the body is needed.
    assert result["controls"]["clock_only"]["auroc"] > 0.95
    assert result["controls"]["leaky_split"]["auroc"] > result["controls"]["logistic_regression"]["auroc"]


def test_rows_are_windows_on_which_the_model_speaks_and_one_label_holds(result: dict[str, Any]) -> None:
    # 150 windows; 10 of warming up; the episode's two borders fall between windows.
    assert result["rows"] == 3 * (SECONDS // 4 - 10)
    quiet = result["silent"]
    assert quiet["windows"] == 3 * SECONDS // 4
    assert quiet["share"] == pytest.approx(10 / 150, abs=1e-4)
    assert quiet["share"] == pytest.approx(quiet["off_wrist"] + quiet["warming_up"], abs=2e-4)
    assert sum(one["n"] for one in result["calibration"]["bins"]) == result["rows"]


def test_the_figures_are_those_of_the_rows(recordings: Path, tmp_path: Path) -> None:
    folder = made(tmp_path / "data", recordings, ("S31",))
    found = evaluate(folder)
    source = windows.Source("S31", "S31", {t: y for _, t, y in labels_of("S31")}, lambda _: folder / "S31")
    session = windows.read(source, MODEL.read_bytes())
    label, strain = session.label[session.scored] == 1, session.strain[session.scored]
    assert found["model"]["auroc_int8"] == found["per_person"][0]["auroc"] == round(scores.auroc(label, strain), 4)
    assert found["model"]["balanced_accuracy"] == round(scores.balanced_accuracy(label, strain >= 0.5), 4)
    # Of one person there is nobody to fit a control on, and no interval over people.
    assert found["controls"]["clock_only"] == {"auroc": None}
    assert found["model"]["ci95"]["auroc"] is None


def test_people_of_the_training_list_are_flagged_and_kept_out_of_the_headline(
    recordings: Path, tmp_path: Path, result: dict[str, Any]
) -> None:
    model = with_card(tmp_path / "model", training=["S32", "S99"])
    whole = evaluate(made(tmp_path / "whole", recordings), model)
    unseen = evaluate(made(tmp_path / "unseen", recordings, ("S31", "S33")), model)
    assert whole["in_training"] == ["S32"]
    assert whole["people"] == 2
    for key in ("rows", "model", "calibration", "distribution", "silent"):
        assert whole[key] == unseen[key]
    assert whole["per_person"] == result["per_person"]
    assert "in training" in stress.table(whole)


def test_a_folder_of_people_in_training_has_no_headline_and_says_why(recordings: Path, tmp_path: Path) -> None:
    model = with_card(tmp_path / "model", training=["S31", "S32"])
    found = evaluate(made(tmp_path / "data", recordings, ("S31", "S32")), model)
    assert found["in_training"] == ["S31", "S32"]
    assert (found["people"], found["rows"]) == (0, 0)
    assert found["model"]["auroc"] is None
    assert "training" in found["model"]["reason"]
    assert [person["person"] for person in found["per_person"]] == ["S31", "S32"]
    assert "no headline" in stress.table(found)


def test_a_card_of_another_file_is_refused(recordings: Path, tmp_path: Path) -> None:
    model = with_card(tmp_path / "model", file={"sha256": hashlib.sha256(b"another").hexdigest()})
    with pytest.raises(ModelsError, match="card of another file"):
        evaluate(made(tmp_path / "data", recordings, ("S31",)), model)


def test_tables_are_found_by_their_columns_and_other_files_are_ignored(
    recordings: Path, tmp_path: Path, result: dict[str, Any]
) -> None:
    folder = made(tmp_path / "data", recordings)
    (folder / "labels_hr_rsp_binary.csv").unlink()
    rows = "".join(f"{y}.0,x,{t},S{p}\r\n" for person in PEOPLE for p, t, y in reversed(labels_of(person)))
    (folder / "anything.csv.gz").write_bytes(gzip.compress(b"Label,other,Time(sec),Participant\r\n" + rows.encode()))
    (folder / "notes.csv").write_text("a,b\n1,2\n")
    (folder / "old_mac.csv").write_bytes(b"a,b\r1,2\r")
    (folder / "damaged.csv.gz").write_bytes(b"\x1f\x8b and no more")
    (folder / "README").write_bytes(b"\xff\xfe")
    (folder / "photographs").mkdir()
    (folder / "S31").rename(folder / "s031")
    assert evaluate(folder) == result


def test_people_without_labels_are_skipped_by_name(recordings: Path, tmp_path: Path, result: dict[str, Any]) -> None:
    folder = made(tmp_path / "data", recordings)
    shutil.copytree(recordings / "S40", folder / "S40")
    with (folder / "labels_hr_rsp_binary.csv").open("a") as file:
        file.write(f"50,80,12,{START},1\n")
    found = evaluate(folder)
    assert [one["person"] for one in found["skipped"]] == ["S40", "S50"]
    assert found["model"] == result["model"]
    assert "skipped S40: no label" in stress.table(found)


def test_labels_of_another_day_leave_a_person_out_by_name(recordings: Path, tmp_path: Path) -> None:
    rows = [*labels_of("S31"), *labels_of("S32"), *((33, t + 86_400, y) for _, t, y in labels_of("S33"))]
    found = evaluate(made(tmp_path / "data", recordings, text=label_table(rows)))
    assert [one["person"] for one in found["skipped"]] == ["S33"]
    assert found["people"] == 2


def test_labels_of_no_recording_are_refused_with_the_next_action(recordings: Path, tmp_path: Path) -> None:
    text = label_table([(31, t + 5 * 3600, y) for _, t, y in labels_of("S31")])
    assert "no window with a label" in (found := refusal(made(tmp_path / "data", recordings, ("S31",), text=text)))
    assert "unix seconds (UTC)" in found


def test_column_names_may_have_blanks(recordings: Path, tmp_path: Path) -> None:
    plain = made(tmp_path / "plain", recordings, ("S31",))
    text = label_table(labels_of("S31")).replace("Participant,", " Participant ,").replace(",Label", ",Label\t")
    assert evaluate(made(tmp_path / "data", recordings, ("S31",), text=text)) == evaluate(plain)


def test_an_interval_needs_two_people_who_have_both_classes(recordings: Path, tmp_path: Path) -> None:
    rows = [*labels_of("S31"), *((p, t, 0) for person in PEOPLE[1:] for p, t, _ in labels_of(person))]
    found = evaluate(made(tmp_path / "data", recordings, text=label_table(rows)))
    assert found["model"]["auroc"] is not None
    assert (found["model"]["ci95"]["auroc"], found["model"]["ci95"]["auroc_int8"]) == (None, None)
    assert "95 %" not in stress.table(found)


def test_an_empty_label_is_no_label(recordings: Path, tmp_path: Path) -> None:
    text = label_table(labels_of("S31")[:400])
    text += "".join(f"31,80,12,{t},{'' if t % 2 else 'nan'}\n" for _, t, _ in labels_of("S31")[400:])
    found = evaluate(made(tmp_path / "data", recordings, ("S31",), text=text))
    assert found["rows"] == 100 - 10


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Participant,Label\n31,1\n", "none of the known sets"),
        (f"Participant,Time(sec),Label\n31,{START},2\n", "line 2 is no label"),
        ("Participant,Time(sec),Label\n31,noon,1\n", "line 2 is no label"),
        ("Participant,Time(sec),Label\n31,1e400,1\n", "line 2 is no label"),
        (f"Participant,Time(sec),Label\n31,{START},1\n31,{START}\n", "line 3 is no label"),
        (f"Participant,Time(sec),Label\n31,{START},1\n31,{START},0\n", "two labels"),
        (f"Participant,Time(sec),Label\n77,{START},1\n", "no folder of a participant"),
    ],
)
def test_a_broken_label_table_is_refused_with_the_place(recordings: Path, tmp_path: Path, text: str, cause: str) -> None:
    assert cause in refusal(made(tmp_path / "data", recordings, ("S31",), text=text))


def test_a_label_table_that_was_cut_off_is_refused(recordings: Path, tmp_path: Path) -> None:
    folder = made(tmp_path / "data", recordings, ("S31",))
    whole = gzip.compress((folder / "labels_hr_rsp_binary.csv").read_bytes())
    (folder / "labels_hr_rsp_binary.csv").unlink()
    (folder / "labels.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert "cannot be read to its end" in refusal(folder)


def test_a_recording_that_cannot_be_read_is_refused_and_not_left_out(recordings: Path, tmp_path: Path) -> None:
    folder = made(tmp_path / "data", recordings, ("S31", "S32"))
    (folder / "S32" / "EDA.csv").write_text("no start\n4.0\n0.5\n")
    assert "S32" in refusal(folder)
    (folder / "S32" / "EDA.csv").unlink()
    assert "has no EDA.csv" in refusal(folder)


def test_a_signal_that_was_cut_off_is_used_up_to_there_and_named(recordings: Path, tmp_path: Path) -> None:
    folder = made(tmp_path / "data", recordings, ("S31",))
    whole = gzip.compress((folder / "S31" / "BVP.csv").read_bytes())
    (folder / "S31" / "BVP.csv").unlink()
    (folder / "S31" / "BVP.csv.gz").write_bytes(whole[: len(whole) // 2])
    values = (folder / "S31" / "TEMP.csv").read_text().splitlines()
    (folder / "S31" / "TEMP.csv").write_text("\n".join([*values[:800], *["nan"] * 400, *values[1200:]]) + "\n")
    found = evaluate(folder)
    assert any("BVP" in warning for warning in found["warnings"]["S31"])
    assert any("TEMP: 400 samples are no numbers" in warning for warning in found["warnings"]["S31"])
    assert found["silent"]["off_wrist"] > 0.1  # without a temperature nobody can say that it is worn
    assert "tolerated" in stress.table(found)


def test_one_class_only_has_no_auroc(recordings: Path, tmp_path: Path) -> None:
    rows = [(p, t, 0) for p, t, _ in labels_of("S31")]
    found = evaluate(made(tmp_path / "data", recordings, ("S31",), text=label_table(rows)))
    assert found["model"]["auroc"] is None
    assert found["per_person"] == [{"person": "S31", "n": 140, "auroc": None}]
    stress.table(found)


def test_the_folder_of_two_sets_and_an_empty_one_are_refused(recordings: Path, tmp_path: Path) -> None:
    folder = made(tmp_path / "data", recordings, ("S31",))
    exam(folder, "2018-10-13T08:59:00")
    assert "several sets" in refusal(folder)
    (tmp_path / "empty").mkdir()
    assert "none of the known sets" in refusal(tmp_path / "empty")
    assert "is no folder" in refusal(tmp_path / "absent")


def seconds(count: int, first: int, **names: Any) -> list[dict[str, Any]]:
    random = np.random.default_rng(0)
    signals = {"hr": 80.0, "eda": 1.0, "temp": 33.0, "acc_mag_mean": 1.0, "acc_mag_std": 0.01}
    wander = random.normal(1, 0.02, (count, len(signals)))
    moved = [dict(zip(signals, (np.array([*signals.values()]) * row).tolist(), strict=True)) for row in wander]
    return [names | {"unix_s": first + s} | row for s, row in enumerate(moved)]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    parquet.write_table(table({column: [row[column] for row in rows] for column in rows[0]}), path)


def exam(folder: Path, start: str, name: str = "Midterm 1") -> Path:
    folder.mkdir(exist_ok=True)
    first = int(datetime.fromisoformat(start).replace(tzinfo=ZoneInfo("America/Chicago")).timestamp())
    rows = [row for student in (1, 2) for row in seconds(240, first, student=student, exam=name)]
    write(folder / "once_a_second.parquet", [row | {"acc_x": 0.0, "acc_y": 0.0, "acc_z": 1.0} for row in rows])
    write(folder / "beats.parquet", [{"student": 1, "exam": name, "unix_s": first + 1.0, "ibi_s": 0.75}])
    return folder


@pytest.mark.parametrize(("start", "name"), [("2018-10-13T08:58:00", "Midterm 1"), ("2018-12-05T10:58:00", "Final")])
def test_an_exam_is_told_from_what_surrounds_it_by_the_local_clock(tmp_path: Path, start: str, name: str) -> None:
    found = evaluate(exam(tmp_path / "exam", start, name))
    assert (found["dataset"], found["people"]) == ("exam_stress", 2)
    # 60 windows, 10 of warming up; the first two minutes are before the exam
    assert [(one["session"], one["n"], one["of_label_1"]) for one in found["per_session"]] == [
        (f"01-{name.lower().replace(' ', '-')}", 50, 30),
        (f"02-{name.lower().replace(' ', '-')}", 50, 30),
    ]
    assert found["silent"]["of_the_rest"]["without_pulse_contact"] == 1.0
    assert any("higher before and after" in note for note in found["notes"])


def test_an_exam_without_beats_is_scored_and_a_column_that_lacks_is_asked_for_in_the_readers_own_file(tmp_path: Path) -> None:
    folder = exam(tmp_path / "exam", "2018-10-13T08:58:00")
    (folder / "beats.parquet").unlink()
    assert evaluate(folder)["people"] == 2
    path = folder / "once_a_second.parquet"
    parquet.write_table(parquet.read_table(path).drop_columns(["acc_x"]), path)
    assert f"{path} has no column acc_x" in refusal(folder)


def test_a_nurses_unanswered_reports_are_no_labels_and_nobody_else_answers_for_her(tmp_path: Path) -> None:
    rows = [*seconds(240, START, nurse="5C", session="5C_1"), *seconds(240, START, nurse="15", session="15_1")]
    write(tmp_path / "table.parquet", rows)
    reports = [("5C", "2", 0, 120), ("5C", "0", 120, 200), ("5C", "na", 200, 240), ("15", "1", 0, 80), ("7", "0", 80, 240)]
    lines = [f"{nurse},{level},{START + begin}.0,{START + end}.0" for nurse, level, begin, end in reports]
    (tmp_path / "answers.csv").write_text("\n".join(["nurse,stress_level,start_unix,end_unix", *lines]) + "\n")
    found = evaluate(tmp_path)
    assert found["dataset"] == "nurse_stress"
    assert [(one["session"], one["n"], one["of_label_1"]) for one in found["per_session"]] == [("15_1", 10, 10), ("5C_1", 40, 20)]
    assert found["model"]["ci95"]["over"] == "sessions"
    assert any(note.startswith("Nurses with a label: 2, calm periods: 1.") for note in found["notes"])
    (tmp_path / "answers.csv").write_text("nurse,stress_level,start_unix,end_unix\n5C,na,1,2\n")
    assert "no window with a label" in refusal(tmp_path)
    (tmp_path / "answers.csv").write_text("nurse,stress_level,start_unix,end_unix\n5C,high,1,2\n")
    assert "line 2 is no report" in refusal(tmp_path)
    (tmp_path / "answers.csv").unlink()
    assert "one table with the columns nurse" in refusal(tmp_path)


def session_of(inputs: np.ndarray, worn: np.ndarray) -> Windows:
    n = len(worn)
    zeros, never = np.zeros(n), np.zeros(n, np.bool_)
    return Windows("a", "a", inputs, worn, never, zeros, zeros.astype(int), zeros, zeros, zeros.astype(np.int8), zeros, [])


def test_the_float_begins_anew_after_a_minute_off_the_wrist_as_the_wearable_does(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    floating.save(floating.initial(8, 4, (floating.Head("strain", 1, "sigmoid"),), seed=1), path)
    inputs = np.random.default_rng(3).normal(0, 2, (100, 8))

    def floats(gap: int) -> np.ndarray:
        worn = np.ones(100, np.bool_)
        worn[40 : 40 + gap] = False
        columns, absent = reference.strain([session_of(inputs, worn)], path, 0.1)
        assert not absent
        assert columns is not None
        return columns[0]

    fresh, _ = reference.strain([session_of(inputs[55:], np.ones(45, np.bool_))], path, 0.1)
    assert fresh is not None
    np.testing.assert_allclose(floats(15)[55:], fresh[0])
    fresh, _ = reference.strain([session_of(inputs[54:], np.ones(46, np.bool_))], path, 0.1)
    assert fresh is not None
    assert np.abs(floats(14)[54:] - fresh[0]).max() > 1e-3


def test_a_float_of_another_network_is_no_reference(
    recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: dict[str, Any]
) -> None:
    monkeypatch.setattr(floating, "FOLDER", tmp_path)
    folder = made(tmp_path / "data", recordings)
    found = evaluate(folder)["model"]
    assert "no float network was kept" in found["float"]
    assert (found["auroc"], found["flips"]) == (found["auroc_int8"], None)
    floating.save(floating.initial(8, 4, (floating.Head("strain", 1, "sigmoid"),), seed=1), tmp_path / "wearable.npz")
    assert "another network" in evaluate(folder)["model"]["float"]
    (tmp_path / "wearable.npz").write_bytes(b"no numbers")
    assert "cannot be read" in evaluate(folder)["model"]["float"]
    assert found["auroc_int8"] == result["model"]["auroc_int8"]


@pytest.mark.skipif(not FLOAT.is_file(), reason="no float network of the shipped file: run `make train`")
def test_the_shipped_file_says_what_its_float_says(result: dict[str, Any]) -> None:
    assert "float" not in result["model"]
    assert abs(result["model"]["auroc"] - result["model"]["auroc_int8"]) <= 0.01
    assert result["model"]["flips"] <= 0.02


@pytest.mark.skipif(not (DATA / "stress_predict").is_dir(), reason="needs ../shared/data/stress_predict")
def test_the_real_people_held_out_give_the_figure_of_the_card(tmp_path: Path) -> None:
    card = json.loads(MODEL.with_suffix(".json").read_text("utf-8"))
    for path in (DATA / "stress_predict").glob("*.csv*"):
        (tmp_path / path.name).symlink_to(path)
    for person in card["held_out"]:
        (tmp_path / person).symlink_to(DATA / "stress_predict" / person)
    found = evaluate(tmp_path)
    assert (found["people"], found["in_training"]) == (len(card["held_out"]), [])
    assert found["model"]["auroc_int8"] == pytest.approx(card["held_out_figures"]["auroc_int8"], abs=1e-4)
    assert found["controls"]["clock_only"]["auroc"] > 0.9
