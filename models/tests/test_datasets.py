"""Stress-Predict is read as it lies there, and a folder that is something else is refused."""

import gzip
from pathlib import Path

import pytest
from zenmoon_edge.virtual.generated import START, write_recording
from zenmoon_models.datasets import stress_predict
from zenmoon_models.errors import ModelsError
from zenmoon_models.tinylstm.sequences import read, split

SECONDS = 120
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "stress_predict"


def label_table(rows: list[tuple[int, int, int]]) -> str:
    return "\n".join(["Participant,HR,respr,Time(sec),Label", *(f"{p},80.0,12.0,{t},{y}" for p, t, y in rows)]) + "\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for participant in (2, 3, 4):
        write_recording(folder / f"S{participant:02d}", SECONDS, seed=participant)
        rows += [(participant, START + s, int(s >= 62)) for s in range(20, 100)]
    (folder / "labels_hr_rsp_binary.csv.gz").write_bytes(gzip.compress(label_table(rows).encode()))
    return folder


def test_labels_meet_the_windows_of_the_same_seconds(folder: Path) -> None:
    person = stress_predict.people(folder)[0]
    assert person.name == "S02"
    sequence = read(person)
    assert sequence.inputs.shape == (SECONDS // 4, 8)
    # 0–20 unknown, 20–60 rest, 60–64 holds both and is left out, 64–100 task, then unknown again
    assert sequence.label.tolist() == [-1] * 5 + [0] * 10 + [-1] + [1] * 9 + [-1] * 5


def test_people_are_split_never_windows(folder: Path) -> None:
    people = stress_predict.people(folder)
    training, held_out = split(people, 1, seed=1)
    assert sorted(p.name for p in training + held_out) == ["S02", "S03", "S04"]
    assert split(people, 1, seed=1) == (training, held_out)


def test_the_digest_changes_with_any_byte(folder: Path) -> None:
    before = stress_predict.digest(folder)
    path = folder / "S03" / "EDA.csv"
    content = path.read_bytes()
    try:
        path.write_bytes(content + b"0.1\n")
        assert stress_predict.digest(folder) != before
    finally:
        path.write_bytes(content)
    assert stress_predict.digest(folder) == before


def test_another_folder_is_refused_with_the_next_action(tmp_path: Path) -> None:
    with pytest.raises(ModelsError, match="Stress-Predict") as caught:
        stress_predict.people(tmp_path)
    assert caught.value.reason == "data"
    (tmp_path / "labels_hr_rsp_binary.csv").write_text(label_table([(2, START, 0)]))
    with pytest.raises(ModelsError, match="no session folder"):
        stress_predict.people(tmp_path)
    (tmp_path / "labels_hr_rsp_binary.csv").write_text("Participant,Label\nx,1\n")
    with pytest.raises(ModelsError, match="cannot be read"):
        stress_predict.people(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/stress_predict")
def test_the_real_set_has_twenty_five_labelled_people() -> None:
    people = stress_predict.people(REAL)
    assert len(people) == 25
    assert all(0 < sum(person.labels.values()) < len(person.labels) for person in people)
