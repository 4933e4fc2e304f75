"""Stress-Predict: Empatica E4 sessions with a label per second (1 = a stress task, 0 = rest).

Layout: folders S01…S35 of E4 files beside `labels_hr_rsp_binary.csv[.gz]` with the columns
Participant, HR, respr, Time(sec), Label. Adults; MIT licence; Iqbal et al. 2022, Sensors 22:8135.
"""

import csv
import gzip
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from zenmoon_models.errors import ModelsError

NAME = "Stress-Predict"
LICENCE = "MIT"
CITATION = "Iqbal et al. 2022, Stress Monitoring Using Wearable Sensors: a pilot study and Stress-Predict dataset, Sensors 22:8135"
_LABELS = ("labels_hr_rsp_binary.csv", "labels_hr_rsp_binary.csv.gz")


class Person(NamedTuple):
    """One participant: `labels` maps a unix second (UTC) to 1 (task) or 0 (rest); seconds without a label are missing."""

    name: str
    folder: Path
    labels: dict[int, int]


def people(folder: Path | str) -> list[Person]:
    """Everybody who has both a session and labels, by name.

    Raises:
        ModelsError: `data` when the folder is not laid out as above.
    """
    folder = Path(folder)
    labels: dict[str, dict[int, int]] = {}
    for row in csv.DictReader(io.StringIO(_label_text(folder))):
        try:
            name = f"S{int(row['Participant']):02d}"
            labels.setdefault(name, {})[int(float(row["Time(sec)"]))] = int(float(row["Label"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelsError("data", f"the label table of {folder} has a row that cannot be read: {row}") from error
    found = [Person(name, folder / name, labels[name]) for name in sorted(labels) if (folder / name).is_dir()]
    if not found:
        raise ModelsError("data", f"{folder} has labels but no session folder S01, S02, …")
    return found


def digest(folder: Path | str) -> str:
    """SHA-256 over names and bytes of the label table and of every session file, in order: what a card cites."""
    folder = Path(folder)
    total = hashlib.sha256()
    for path in _files(folder):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.glob("*.csv*") if path.name in _LABELS)
    yield from sorted(path for path in folder.glob("S[0-9][0-9]/*.csv*") if path.is_file())


def _label_text(folder: Path) -> str:
    for name in _LABELS:
        path = folder / name
        if path.is_file():
            data = path.read_bytes()
            return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    raise ModelsError("data", f"{folder} has no {_LABELS[0]}[.gz]: name the folder of the Stress-Predict data set")
