"""docs/evaluation.md is what the results say, the results are of the model that ships, and an interrupted run goes on."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import evaluate
import evaluation_page
import pytest
import zenmoon_edge.models
from zenmoon_models.evaluation import page

CARD = Path(zenmoon_edge.models.__file__).with_name("wearable.json")


def result(**facts: Any) -> dict[str, Any]:
    """As `stress` gives it."""
    model = {"name": "wearable-0000", "auroc": 0.7512, "balanced_accuracy": 0.7, "f1": 0.6, "auroc_int8": 0.7498, "flips": 0.0021}
    heart = {"label_1_worn": 90.0, "label_1_at_all": 91.0, "label_0_worn": 95.0, "label_0_at_all": None}
    session = {"session": "07-final", "person": "07", "n": 3, "of_label_1": 2, "auroc": 0.5, "heart_rate_bpm": heart}
    return {
        "dataset": "stress_predict",
        "people": 2,
        "rows": 1234,
        "in_training": ["S02"],
        "model": {**model, "ci95": {"auroc": [0.7, 0.8], "auroc_int8": [0.69, 0.79], "over": "people"}},
        "controls": {"clock_only": {"auroc": 0.94}, "logistic_regression": {"auroc": 0.76}, "leaky_split": {"auroc": None}},
        "per_person": [{"person": "S02", "n": 7, "auroc": 0.9}, {"person": "S05", "n": 9, "auroc": None}],
        "label": "1 = <task>",
        "notes": ["A note."],
        "distribution": {
            "people": 1,
            "mean": 0.7,
            "lowest": 0.7,
            "p25": 0.7,
            "median": 0.7,
            "p75": 0.7,
            "highest": 0.7,
            "below_half": 0,
        },
        "calibration": {"ece": 0.1, "bins": [{"low": 0.0, "high": 0.1, "n": 9, "probability": 0.04, "share": 0.2}]},
        "silent": {
            "windows": 99,
            "share": 0.5,
            "off_wrist": 0.4,
            "warming_up": 0.1,
            "of_the_rest": {"without_pulse_contact": 1.0, "in_motion": None, "without_motion_sensor": 1.0},
        },
        "heart_rate_bpm": heart,
        "ablation": [{"stage": "float", "auroc": 0.75}, {"stage": "int8", "auroc": 0.74, "bytes": 6640}],
        "streaming": {"windows": 90, "steps_a_window": 60, "different": 0},
        "skipped": [{"person": "S01", "why": "no label"}],
        "warnings": {},
        "per_session": [session],
        **facts,
    }


def test_every_figure_of_the_page_comes_from_the_results() -> None:
    text = page.page({name: result() for name in ("stress", "exam", "nurse")}, {"sleep": "sensitivity 0.91"})
    assert text.count("| **the shipped file (int8, one step at a time)** | 0.750 | 0.690–0.790 over people |") == 3
    assert "int8 decides otherwise than float in 0.21%" in text
    assert "| elapsed time alone | 0.940 |" in text
    assert "| S05 | 9 | – |" in text
    assert "1 people in training (not counted)" in text
    assert "Not scored: S01 (no label)." in text
    assert "| int8 | 0.740 | 6640 |" in text
    assert "0 of 90 calls of 60 steps give other integers" in text
    assert "sensitivity 0.91" in text
    assert "what share of the windows at each level are tasks; the two differ by\n0.100 on average" in text


def test_the_keys_of_sleep_are_explained_too() -> None:
    stress, sleep = page.page({}, {}).split("### stress")[1].split("### sleep")
    assert "`controls.rule.name_at_90`" not in stress
    for key in ("model.sensitivity", "model.tst_bias_min", "model.specificity_at_90", "controls.rule.NAME", "heart_rate", "notes"):
        assert f"| `{key}`" in sleep
    assert "epochs of 30 s" in sleep


def test_a_folder_without_a_headline_has_a_page_too() -> None:
    model = {
        "name": "wearable-0000",
        "auroc": None,
        "auroc_int8": None,
        "ci95": {"auroc": None},
        "reason": "everybody is in training",
    }
    empty = result(model=model, distribution={"people": 0}, calibration={"ece": None, "bins": []}, ablation=None, streaming=None)
    assert "No headline: everybody is in training." in page.page({"stress": empty}, {})
    assert page.page({}, {}).startswith("# Evaluation")
    assert page.drawings({}) == {}
    for drawing in page.drawings({"stress": empty}).values():
        ET.fromstring(drawing)


def test_the_pictures_are_drawings_for_light_and_dark_screens_that_a_reader_can_hear() -> None:
    drawn = page.drawings({"stress": result(), "nurse": result()})
    assert sorted(drawn) == ["evaluation/reliability.svg", "evaluation/strain.svg"]
    for drawing in drawn.values():
        tree = ET.fromstring(drawing)
        assert tree.attrib["role"] == "img"
        assert tree[0].tag.endswith("title")
        assert "prefers-color-scheme:dark" in drawing
    assert drawn["evaluation/strain.svg"].count(">0.750</text>") == 2


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was scored, without the time that it takes."""
    folders: list[Path] = []

    def score(task: str, data: Path) -> tuple[dict[str, Any], str]:
        folders.append(data)
        if data.name == "nurse_stress" and len(folders) < 4:
            raise evaluate.Refused("the power was cut")
        return {"dataset": data.name}, ""

    monkeypatch.setattr(evaluate, "score", score)
    return folders


def test_an_interrupted_run_goes_on_and_changed_data_is_scored_anew(tmp_path: Path, scored: list[Path]) -> None:
    data, results = tmp_path / "data", tmp_path / "results"
    for name in ("stress_predict", "exam_stress", "nurse_stress"):
        (data / name).mkdir(parents=True)
        (data / name / "table.csv").write_text("a\n")
    with pytest.raises(evaluate.Refused):
        evaluation_page.score(data, results)
    evaluation_page.score(data, results)
    assert [path.name for path in scored] == ["stress_predict", "exam_stress", "nurse_stress", "nurse_stress"]
    evaluation_page.score(data, results)
    assert len(scored) == 4
    (data / "exam_stress" / "table.csv").write_text("b\n")
    evaluation_page.score(data, results)
    assert [path.name for path in scored[4:]] == ["exam_stress"]
    evaluation_page.score(data, results, again=True)
    assert len(scored) == 8


def test_the_page_in_the_repository_is_made_from_the_results_in_it(tmp_path: Path) -> None:
    made = tmp_path / "evaluation.md"
    (tmp_path / "evaluation").mkdir()
    evaluation_page.write_page(evaluation_page.RESULTS, made)
    for path in (made, *(tmp_path / "evaluation").iterdir()):
        kept = evaluation_page.PAGE.parent / path.relative_to(tmp_path)
        assert kept.read_text("utf-8") == path.read_text("utf-8"), f"{kept.name}: run `make evaluate`"


def test_the_results_in_the_repository_are_of_the_model_that_ships() -> None:
    name = json.loads(CARD.read_text("utf-8"))["name"]
    for part in ("stress", "exam", "nurse"):
        found = json.loads((evaluation_page.RESULTS / f"{part}.json").read_text("utf-8"))
        assert found["model"]["name"] == name, "run `make evaluate`"
