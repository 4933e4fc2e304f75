"""The sleep model: nights are read without their look-ahead columns, and people it has not seen are scored by what ships."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zenmoon_edge.models
from pyarrow import csv, parquet, table
from zenmoon_edge.core.sleep import INPUTS, Sleep, SleepFeatures
from zenmoon_edge.core.tinylstm import TinyLSTM
from zenmoon_edge.tinylstm import ENGINES, quantise, verify
from zenmoon_models.datasets import walch
from zenmoon_models.errors import ModelsError
from zenmoon_models.evaluation import sleep as evaluation
from zenmoon_models.tinylstm import floating, sleep_scores, sleep_sequences
from zenmoon_models.tinylstm.sleep_page import page
from zenmoon_models.tinylstm.sleep_scores import Scored

MODEL = Path(zenmoon_edge.models.__file__).with_name("sleep.tflite")
DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / walch.FOLDER
NIGHT = 300  # epochs of a simulated night
BEGIN = 7  # epochs of polysomnography before the table of epochs begins

needs_nights = pytest.mark.skipif(not DATA.is_dir(), reason=f"Walch's nights are not here: put them into {DATA}")


def simulate(folder: Path, people: int = 3, *, seed: int = 1, first: int = 900) -> Path:
    """Nights in the layout of Walch's set: restless and fast of pulse while awake."""
    random = np.random.default_rng(seed)
    epochs: list[dict[str, Any]] = []
    rates: list[dict[str, Any]] = []
    stages: list[dict[str, Any]] = []
    folder.mkdir(exist_ok=True)
    for person in range(first, first + people):
        for row in range(-BEGIN, NIGHT):
            awake = row < 30 or 150 <= row < 165
            stage = 0 if awake else (2, 3, 5)[row // 30 % 3]
            stages.append({"subject": person, "t_s": 30 * (row + BEGIN), "stage": stage if row >= 0 else -1})
            rates += [
                {
                    "subject": person,
                    "t_s": 30.0 * (row + BEGIN) + second,
                    "hr_bpm": int((75 if awake else 57) + random.integers(-3, 4)),
                }
                for second in (3, 9, 20)
            ]
            if row < 0 or 200 <= row < 205:  # a gap
                continue
            moves = awake or random.random() < 0.05
            counts = float(random.gamma(1.5, 20 if awake else 4)) if moves else 0.0
            epochs.append(
                {
                    "subject": person,
                    "epoch": len(epochs),
                    "stage": stage,
                    "count_feature": counts,
                    "hr_feature": 0.3,
                    "time_feature_h": row / 120,
                    "cosine_feature": 0.0,
                }
            )
    write(folder / "epochs_30s.parquet", epochs)
    write(folder / "heart_rate_raw.parquet", rates)
    write(folder / "psg_labels_raw.parquet", stages)
    (folder / "notes.csv").write_text("who,what\nsomebody,something\n")  # an unknown file
    return folder


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    parquet.write_table(table({name: [row[name] for row in rows] for name in rows[0]}), path)


def change(path: Path, column: str, values: Any) -> None:
    old = parquet.read_table(path)
    columns = {name: old[name] for name in old.column_names}
    parquet.write_table(table({**columns, column: values}), path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return simulate(tmp_path / "nights")


def test_heart_rate_lies_where_the_polysomnography_says(folder: Path) -> None:
    night = walch.nights(folder)[0]
    raw = parquet.read_table(folder / "heart_rate_raw.parquet").to_pylist()
    own = [row["hr_bpm"] for row in raw if row["subject"] == 900 and 30 * (BEGIN + 40) <= row["t_s"] < 30 * (BEGIN + 41)]
    assert night.heart_rate[40] == pytest.approx(np.mean(own))
    assert night.person == "900"
    assert np.isnan(night.counts[200:205]).all()
    assert (night.stage[200:205] == -1).all()


def test_columns_that_look_ahead_or_tell_the_time_are_not_read(folder: Path) -> None:
    before = evaluation.evaluate(folder)
    path = folder / "epochs_30s.parquet"
    rows = parquet.read_metadata(path).num_rows
    random = np.random.default_rng(3)
    for column in ("hr_feature", "cosine_feature", "epoch"):
        change(path, column, random.integers(0, 1000, rows))
    change(path, "time_feature_h", [value + 3.5 for value in parquet.read_table(path)["time_feature_h"].to_pylist()])
    assert evaluation.evaluate(folder) == before


@pytest.mark.parametrize("absent", ["heart_rate_raw.parquet", "psg_labels_raw.parquet"])
def test_without_a_heart_rate_that_can_be_placed_there_is_none(folder: Path, absent: str) -> None:
    (folder / absent).unlink()
    assert all(np.isnan(night.heart_rate).all() for night in walch.nights(folder))
    result = evaluation.evaluate(folder)
    assert set(result["heart_rate"].values()) == {0.0}
    assert result["model"]["auroc_int8"] == result["model"]["without_heart_rate"]["auroc"]
    assert "no heart rate" in evaluation.table(result)


def test_text_tables_are_read_as_well(folder: Path) -> None:
    before = evaluation.evaluate(folder)
    for path in folder.glob("*.parquet"):
        csv.write_csv(parquet.read_table(path), path.with_suffix(".csv"))
        path.unlink()
    assert evaluation.evaluate(folder) == before


def test_bad_tables_are_refused_with_the_cause(folder: Path, tmp_path: Path) -> None:
    path = folder / "epochs_30s.parquet"
    rows = parquet.read_metadata(path).num_rows
    good = path.read_bytes()

    def refused(match: str, where: Path = folder) -> None:
        with pytest.raises(ModelsError, match=match) as caught:
            evaluation.evaluate(where)
        assert caught.value.reason == "data"

    for column, values, match in (
        ("stage", [9] * rows, "unknown stage"),
        ("count_feature", [-1.0] * rows, "counts below 0"),
        ("count_feature", ["many"] * rows, "something else than numbers"),
        ("time_feature_h", [0.0] * rows, "two epochs at one time"),
        ("time_feature_h", [float("nan")] * rows, "without a time"),
        ("time_feature_h", [5.0 * i for i in range(rows)], "longer than a day"),
        ("subject", [None] * rows, "without a name"),
        ("stage", [-1] * rows, "no night has an epoch"),
    ):
        change(path, column, values)
        refused(match)
        path.write_bytes(good)
    (folder / "again.parquet").write_bytes(good)
    refused("keep one")
    (tmp_path / "empty").mkdir()
    refused("no table with the columns", tmp_path / "empty")
    refused("is no folder", tmp_path / "absent")


def test_what_training_sees_is_what_the_phone_computes(folder: Path) -> None:
    night = walch.nights(folder)[1]
    sequence = sleep_sequences.read(night)
    stream = SleepFeatures()
    for i, (counts, rate) in enumerate(zip(night.counts, night.heart_rate, strict=True)):
        row = stream.step(None if math.isnan(counts) else counts, None if math.isnan(rate) else rate)
        assert sequence.present[i] == (row is not None)
        np.testing.assert_array_equal(sequence.inputs[i], np.array(row or [0.0] * INPUTS, np.float32))


def test_a_later_night_never_changes_an_earlier_input(folder: Path) -> None:
    night = walch.nights(folder)[0]
    late = night.counts.copy(), night.heart_rate.copy()
    late[0][180:] = 77.0
    late[1][180:] = 140.0
    other = sleep_sequences.read(night._replace(counts=late[0], heart_rate=late[1]))
    np.testing.assert_array_equal(other.inputs[:180], sleep_sequences.read(night).inputs[:180])
    assert (other.inputs[180] != sleep_sequences.read(night).inputs[180]).any()


def test_chunks_pass_over_gaps_and_learn_nothing_from_the_warm_up(folder: Path) -> None:
    sequence = sleep_sequences.read(walch.nights(folder)[0])
    chunks = sleep_sequences.chunks([sequence])
    present = sequence.inputs[sequence.present]
    np.testing.assert_array_equal(chunks.inputs[1][:50], present[sleep_sequences.STRIDE : sleep_sequences.STRIDE + 50])
    for weight in chunks.weights.values():
        assert not weight[:, : sleep_sequences.WARM_UP].any()
        assert weight[:, sleep_sequences.WARM_UP :].any()
    counts = sequence.present.copy()
    counts[100:140] = False
    parts = sleep_sequences.stretches(sequence._replace(present=counts))
    assert [int(rows[0]) for rows in parts] == [0, 140]


def test_people_are_held_out_by_name_and_not_by_the_order_of_a_table() -> None:
    names = [str(number) for number in (30, 4, 200, 1, 77, 12)]
    assert sleep_sequences.split(names, 2, 5) == sleep_sequences.split(names[::-1], 2, 5)
    assert len(sleep_sequences.split(names, 2, 5)) == 2


def test_figures_agree_with_what_was_worked_out_by_hand() -> None:
    # Two people, ten epochs each: sleep where the stage is above 0.
    stage = np.array([0, 0, 1, 1, 1, 1, 2, 2, 3, 3], np.int8)
    score = np.array([0.1, 0.9, 0.2, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8])
    found = sleep_scores.figures([Scored("a", stage, score), Scored("b", stage, score)], 0.5)
    assert found["sensitivity"] == 7 / 8
    assert found["specificity"] == 1 / 2
    assert found["tst_bias_min"] == 0.0  # one epoch of wake taken for sleep, one of sleep for wake
    assert sleep_scores.figures([Scored("a", stage, score)], 0.85)["tst_bias_min"] == -3.5
    assert found["specificity_at_90"] == 1 / 2  # all of the sleep lies above .2
    assert "stage_kappa" not in found


def test_the_threshold_keeps_a_margin_for_groups_that_are_unlike_the_others() -> None:
    random = np.random.default_rng(4)
    stage = np.array([0, 1, 1, 1, 1, 1, 1, 1, 1, 1], np.int8)
    people = [Scored(str(i), stage, np.clip(random.normal(0.5 + 0.1 * (i % 5), 0.05, 10), 0, 1)) for i in range(20)]
    assured = sleep_scores.assured_threshold(people, seed=1)
    assert assured == sleep_scores.assured_threshold(people, seed=1)
    assert assured < sleep_scores.threshold(people)
    groups = [[people[i] for i in random.integers(0, 20, sleep_scores.GROUP)] for _ in range(300)]
    found = [sleep_scores.figures(group, assured)["sensitivity"] >= sleep_scores.SENSITIVITY for group in groups]
    assert np.mean(found) > 0.9


def test_a_rule_scores_the_epoch_it_means(folder: Path) -> None:
    night = walch.nights(folder)[0]
    counts = np.zeros(60)
    counts[30] = 50.0
    quiet = night._replace(counts=counts, heart_rate=np.full(60, np.nan), stage=np.zeros(60, np.int8))
    awake = -sleep_scores.rule("cole_kripke_published", quiet, 1.0)
    assert np.flatnonzero(awake > 0)[[0, -1]].tolist() == [26, 39]  # two minutes before, and four after with the minute's half
    causal = -sleep_scores.rule("cole_kripke", quiet, 1.0)
    assert np.flatnonzero(causal > 0)[[0, -1]].tolist() == [30, 39]


def test_people_in_training_are_shown_but_not_counted(tmp_path: Path) -> None:
    seen = json.loads(MODEL.with_suffix(".json").read_text("utf-8"))["training"][0]
    mixed = simulate(tmp_path / "mixed", 2, first=int(seen))
    result = evaluation.evaluate(mixed)
    assert result["in_training"] == [seen]
    assert result["people"] == 1
    assert len(result["per_person"]) == 2
    alone = evaluation.evaluate(simulate(tmp_path / "alone", 1, first=int(seen)))
    assert alone["people"] == alone["rows"] == 0
    assert alone["model"]["auroc"] is None
    assert "training list" in alone["model"]["reason"]
    assert "no headline" in evaluation.table(alone)
    assert alone["per_person"][0]["auroc"] is not None


def test_the_simulated_nights_are_told_apart_and_all_is_listed(folder: Path) -> None:
    result = evaluation.evaluate(folder)
    assert {"name", "auroc", "sensitivity", "specificity", "kappa", "tst_bias_min", "auroc_int8", "flips", "ci95"} <= set(
        result["model"]
    )
    assert {"rule", "clock_only", "logistic_regression", "leaky_split"} <= set(result["controls"])
    assert {"cole_kripke", "sadeh"} <= set(result["controls"]["rule"])
    assert result["dataset"] == "walch_sleep_accel"
    assert result["people"] == 3
    assert result["in_training"] == []
    assert result["rows"] == sum(person["n"] for person in result["per_person"]) == 3 * (NIGHT - 10 - 5)
    assert result["model"]["auroc"] > 0.9
    json.dumps(result, allow_nan=False)
    assert "it was not trained on" in evaluation.table(result)


def test_scoring_is_repeatable_and_nobody_changes_anothers_score(folder: Path, tmp_path: Path) -> None:
    result = evaluation.evaluate(folder)
    assert evaluation.evaluate(folder) == result
    fewer = evaluation.evaluate(simulate(tmp_path / "fewer", 2))
    assert fewer["per_person"] == result["per_person"][:2]


def test_a_card_of_another_file_is_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "sleep.tflite"
    other.write_bytes(MODEL.read_bytes() + b"\0")
    other.with_suffix(".json").write_bytes(MODEL.with_suffix(".json").read_bytes())
    with pytest.raises(ModelsError, match="card of another file"):
        evaluation.evaluate(folder, model=other)
    with pytest.raises(ModelsError, match="cannot be scored"):
        evaluation.evaluate(folder, model=tmp_path / "absent.tflite")


def test_int8_says_what_its_float_says(folder: Path) -> None:
    network = floating.load(floating.FOLDER / "sleep.npz")
    for night in walch.nights(folder):
        sequence = sleep_sequences.read(night)
        run = sleep_scores.run(MODEL.read_bytes(), night)
        real, _ = sleep_scores.in_float(network, sequence)
        np.testing.assert_array_equal(run.ready, sleep_scores.ready(sequence))
        assert np.mean(np.abs(run.asleep - real)[run.ready]) < 0.02


def test_the_shipped_card_and_page_are_of_the_shipped_file() -> None:
    data = MODEL.read_bytes()
    card = json.loads(MODEL.with_suffix(".json").read_text("utf-8"))
    assert card["file"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert len(data) <= 10_240
    assert not set(card["training"]) & set(card["held_out"])
    text = MODEL.with_suffix(".md").read_text("utf-8")
    assert text == page(card)
    assert "not validated on children" in text
    figures = card["held_out_figures"]
    assert figures["ships"] == "model"
    assert figures["advantage"]["specificity"] > 0
    assert figures["flips"] <= 0.005
    assert abs(figures["model"]["auroc"] - figures["float"]["auroc"]) <= 0.005
    assert Sleep(data).threshold == card["settings"]["threshold"]


@needs_nights
def test_the_held_out_figures_of_the_card_come_out_again() -> None:
    card = json.loads(MODEL.with_suffix(".json").read_text("utf-8"))
    result = evaluation.evaluate(DATA)
    assert [p for p in result["per_person"] if p["person"] in card["held_out"]] == card["held_out_figures"]["per_person"]
    assert sorted(result["in_training"]) == sorted(card["training"])
    model, figures = result["model"], card["held_out_figures"]
    assert model["specificity"] == figures["model"]["specificity"]
    rule = result["controls"]["rule"]
    assert model["specificity_at_90"] > rule["specificity_at_90"]
    assert model["specificity"] > rule["specificity"]  # where the rule finds as much sleep as the model
    assert rule["model_finds_more_at_90_ci95"][0] > 0
    assert model["auroc"] == figures["float"]["auroc"]


@needs_nights
def test_every_engine_says_the_same_of_real_nights() -> None:
    data = MODEL.read_bytes()
    different, absent = verify(data, calls=8)
    assert not any(different.values())
    here = {*ENGINES} - {*absent}
    for night in walch.nights(DATA)[::10]:
        sequence = sleep_sequences.read(night)
        calls = quantise(TinyLSTM(data), sequence.inputs[sequence.present])
        expected = ENGINES["portable"](data, calls)
        assert len(np.unique(expected)) > 50  # not saturated: an error could be seen
        for name in sorted(here):
            np.testing.assert_array_equal(ENGINES[name](data, calls), expected, name)
