"""What a folder of strangers' nights says of the shipped sleep model, where the strangers are not quite strangers."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet, table
from zenmoon_models.errors import ModelsError
from zenmoon_models.evaluation import sleep
from zenmoon_models.evaluation.sleep import MODEL

NIGHT = 200  # epochs


def night(person: int, *, awake: bool = True) -> dict[str, Any]:
    """Columns of a night that begins, on request, with an hour awake."""
    random = np.random.default_rng(person)
    stage = np.where((np.arange(NIGHT) < 60) & awake, 0, 2)
    counts = np.where(random.random(NIGHT) < np.where(stage == 0, 0.6, 0.1), random.gamma(1.5, 20, NIGHT), 0.0)
    return {
        "subject": np.full(NIGHT, person),
        "epoch": np.arange(NIGHT),
        "stage": stage,
        "count_feature": counts,
        "time_feature_h": np.arange(NIGHT) / 120,
    }


def write(path: Path, *nights: dict[str, Any]) -> Path:
    path.parent.mkdir(exist_ok=True)
    parquet.write_table(table({name: np.concatenate([one[name] for one in nights]) for name in nights[0]}), path)
    return path.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "all.parquet", *(night(person) for person in (901, 902, 903)))


@pytest.fixture(scope="module")
def result(folder: Path) -> dict[str, Any]:
    return sleep.evaluate(folder)


def with_card(folder: Path, **facts: Any) -> Path:
    """The shipped model beside a card that says something else."""
    folder.mkdir()
    (folder / "sleep.json").write_text(json.dumps(json.loads(MODEL.with_suffix(".json").read_text("utf-8")) | facts))
    copy = folder / "sleep.tflite"
    copy.write_bytes(MODEL.read_bytes())
    assert hashlib.sha256(copy.read_bytes()).hexdigest() in (folder / "sleep.json").read_text()
    return copy


def test_a_file_a_person_is_the_same_set_and_a_person_twice_is_refused(
    folder: Path, tmp_path: Path, result: dict[str, Any]
) -> None:
    for person in (901, 902, 903):
        write(tmp_path / "data" / f"{person}.parquet", night(person))
    assert sleep.evaluate(tmp_path / "data") == result
    write(tmp_path / "data" / "again.parquet", night(902))
    with pytest.raises(ModelsError, match="hold the same person: keep one"):
        sleep.evaluate(tmp_path / "data")


def test_a_table_of_something_else_is_passed_over_whatever_its_line_ends(tmp_path: Path, result: dict[str, Any]) -> None:
    folder = write(tmp_path / "data" / "all.parquet", *(night(person) for person in (901, 902, 903)))
    (folder / "old_mac.csv").write_bytes(b"a,b\r1,2\r")
    (folder / "latin.csv").write_bytes(b"\xe9t\xe9,b\n1,2\n")
    assert sleep.evaluate(folder) == result


def test_the_model_is_measured_against_the_rule_that_is_best_where_ninety_in_a_hundred_are_found(
    tmp_path: Path, result: dict[str, Any]
) -> None:
    # Of single nights some have another best rule there than at the model's own sensitivity.
    alone = [sleep.evaluate(write(tmp_path / f"{person}" / "a.parquet", night(person))) for person in range(901, 917)]
    for found in (result, *alone):
        rule = found["controls"]["rule"]
        rules = {name: one for name, one in rule.items() if isinstance(one, dict)}
        highest = max(one["specificity_at_90"] for one in rules.values())
        assert rule["specificity_at_90"] == rules[rule["name_at_90"]]["specificity_at_90"] == highest
        assert rule["model_finds_more_at_90"] == pytest.approx(found["model"]["specificity_at_90"] - highest, abs=2e-4)
        assert rule["specificity"] == max(one["specificity_at_equal"] for one in rules.values())
    low, high = result["controls"]["rule"]["model_finds_more_at_90_ci95"]
    assert low <= result["controls"]["rule"]["model_finds_more_at_90"] <= high


def test_people_on_whom_the_threshold_was_set_are_said(folder: Path, tmp_path: Path, result: dict[str, Any]) -> None:
    assert sleep.evaluate(folder, model=with_card(tmp_path / "other", threshold_set_on=["1"]))["notes"] == []
    found = sleep.evaluate(folder, model=with_card(tmp_path / "card", threshold_set_on=["1", "902", "903"]))
    [note] = found["notes"]
    assert note.startswith("the threshold was set on 2 of these people too: AUROC and specificity_at_90 do not depend on it")
    assert note in sleep.table(found).splitlines()
    assert found["model"] == result["model"]
    seen = with_card(tmp_path / "seen", threshold_set_on=["902"], training=["902"])
    assert sleep.evaluate(folder, model=seen)["notes"] == []


def test_an_interval_needs_two_people_who_both_slept_and_lay_awake(tmp_path: Path) -> None:
    folder = write(tmp_path / "data" / "all.parquet", night(901), night(902, awake=False), night(903, awake=False))
    found = sleep.evaluate(folder)
    assert found["model"]["auroc"] is not None
    assert found["model"]["ci95"] == {"auroc": None}
    assert found["controls"]["rule"]["model_finds_more_at_90_ci95"] is None
