"""Which of the known sets lies in a folder: its people, what their seconds are called, and what has to be known beside a score.

stress_predict: folders of Empatica E4 files named by participant (S27, s27, 27) beside a table of labels, a row a second
    (columns Participant, Time(sec), Label).
exam_stress, nurse_stress: tables of E4 sessions once a second (see zenmoon_models.datasets.one_hertz).
"""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zoneinfo import ZoneInfo

from zenmoon_models.datasets import exam_stress, nurse_stress, one_hertz, tables
from zenmoon_models.errors import ModelsError

LABELS = ("Participant", "Time(sec)", "Label")
_SECONDS = ("unix_s", "hr", "eda", "temp", "acc_mag_mean", "acc_mag_std")
_BEATS = ("student", "exam", "unix_s", "ibi_s")
_REPORTS = ("nurse", "stress_level", "start_unix", "end_unix")

# The publishers' note has every exam start at 9:00 and last 1.5 h, the final 3 h. The recordings of the finals only begin at
# 10:28, and the bands are on the wrist from a quarter to eleven until two: 11:00 is what the recordings themselves say.
_EXAM_ZONE = ZoneInfo("America/Chicago")
_EXAM_TIMES = {"midterm": (9.0, 1.5), "final": (11.0, 3.0)}  # local hour, hours

_LABORATORY_NOTES = ["The tasks come at the same time of every session, so a clock solves this protocol: compare with clock_only."]
_EXAM_NOTES = [
    (
        "Motion confounds the label: the students sit still during the exam and walk before and after it, and mean heart rate is "
        "higher before and after. A detector of arousal may well score below one half here."
    ),
    (
        "Hardly anybody wears the band long before or after the exam, so there is little rest to compare with, and the running "
        "baselines have just begun when it starts."
    ),
    (
        "Published once a second, without the pulse wave: the contact bit is never set, so heart rate is no input. What remains is "
        "conductance, temperature, motion where it was published, and RMSSD from the few beats that were."
    ),
    (
        "The publishers' note has every exam start at 9:00, but the recordings of the finals begin at 10:28; 11:00 is inferred "
        "from when the bands were worn."
    ),
]
_NURSE_NOTES = [
    (
        "A negative control: nobody has found a simple signal of strain in this set. An AUROC far above .6 would mean that "
        "something leaks."
    ),
    "Published once a second, without the pulse wave and without beats: heart rate and RMSSD are no inputs.",
]


class Source(NamedTuple):
    """A recording that is to be scored.

    person, session: names; labels: unix second (UTC) → 1 (strain is expected) or 0 (rest), other seconds are unlabelled;
    folder: gives the E4 folder and gets an empty place where it may write one.
    """

    person: str
    session: str
    labels: dict[int, int]
    folder: Callable[[Path], Path]


class Layout(NamedTuple):
    """A set.

    dataset: its name; label: what 1 and 0 mean; notes: what a reader of the score has to know; skipped: who is not scored and
    why; over: what the interval is drawn over, people or sessions.
    """

    dataset: str
    label: str
    notes: list[str]
    sources: list[Source]
    skipped: list[dict[str, str]]
    over: str = "people"


@contextmanager
def found(folder: Path) -> Iterator[Layout]:
    """The set of a folder; what it needs on disk is there inside the `with`.

    Raises:
        ModelsError: `data` when there is none, or more than one, or its tables are broken; `extra` without pyarrow.
    """
    labels = tables.text_tables(folder, *LABELS)
    exam = tables.parquet_tables(folder, "student", "exam", *_SECONDS)
    nurse = tables.parquet_tables(folder, "nurse", "session", *_SECONDS)
    if sum(map(bool, (labels, exam, nurse))) > 1:
        names = ", ".join(path.name for path in [*labels, *exam, *nurse])
        raise ModelsError("data", f"{folder} holds tables of several sets ({names}): one set a folder")
    if labels:
        yield _stress_predict(folder, labels)
    elif exam or nurse:
        beats = tables.parquet_tables(folder, *_BEATS) if exam else []
        with _as_named({one_hertz.TABLE: exam or nurse, "ibi.parquet": beats}) as named:
            yield _exam_stress(named) if exam else _nurse_stress(named, tables.text_tables(folder, *_REPORTS))
    else:
        raise ModelsError(
            "data",
            f"{folder} holds none of the known sets: it needs a table with the columns {', '.join(LABELS)} beside folders of "
            "Empatica E4 files (stress_predict), or the tables of exam_stress or nurse_stress",
        )


def _stress_predict(folder: Path, paths: list[Path]) -> Layout:
    labels: dict[int, dict[int, int]] = {}
    for path in paths:
        for number, row in enumerate(tables.rows(path), 2):
            person, second, label = _label(path, number, row)
            if label is None:
                continue
            if labels.setdefault(person, {}).setdefault(second, label) != label:
                raise ModelsError(
                    "data", f"{path}, line {number}: second {second} of participant {person} has two labels: keep one"
                )
    folders: dict[int, Path] = {}
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        match = re.fullmatch(r"[A-Za-z]*0*(\d+)", path.name)
        if match and folders.setdefault(int(match[1]), path) != path:
            raise ModelsError("data", f"{folders[int(match[1])]} and {path} are both participant {match[1]}: keep one")
    sources = [
        Source(_name(person), _name(person), labels[person], partial(_as_it_lies, folders[person]))
        for person in sorted(folders)
        if person in labels
    ]
    if not sources:
        raise ModelsError("data", f"{folder} holds no folder of a participant of {paths[0].name} (S01, S02, …): copy them there")
    return Layout(
        "stress_predict",
        "1 = a stress task of the laboratory (Stroop, interview, hyperventilation), 0 = rest between them",
        _LABORATORY_NOTES,
        sources,
        [{"person": _name(p), "why": "no label: not in the label table"} for p in sorted(set(folders) - set(labels))]
        + [{"person": _name(p), "why": "no recording: no folder of that name"} for p in sorted(set(labels) - set(folders))],
    )


def _label(path: Path, number: int, row: tables.Row) -> tuple[int, int, int | None]:
    """Participant, unix second and label (None where it is left empty) of a row."""
    try:
        match = re.fullmatch(r"[A-Za-z]*0*(\d+)(?:\.0*)?", row["Participant"].strip())
        if match is None:
            raise ValueError(row["Participant"])
        label = float(row["Label"].strip() or "nan")
        if not math.isnan(label) and label not in {0.0, 1.0}:
            raise ValueError(row["Label"])
        return int(match[1]), int(float(row["Time(sec)"])), None if math.isnan(label) else int(label)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ModelsError("data", f"{path}, line {number} is no label ({row}): restore the table") from error


def _exam_stress(folder: Path) -> Layout:
    sources, skipped = [], []
    for session in exam_stress.sessions(folder):
        values = dict(session.key)
        kind = next((kind for kind in _EXAM_TIMES if kind in str(values["exam"]).lower()), None)
        if kind is None:
            skipped.append({"person": session.name, "why": f"when {values['exam']!r} began is not known"})
            continue
        hour, hours = _EXAM_TIMES[kind]
        midnight = session.start.astimezone(_EXAM_ZONE).replace(hour=0, minute=0, second=0, microsecond=0)
        begin = (midnight + timedelta(hours=hour)).timestamp()
        first = int(session.start.timestamp())
        labels = {second: int(begin <= second < begin + 3600 * hours) for second in range(first, first + session.seconds)}
        sources.append(Source(f"{int(values['student']):02d}", session.name, labels, partial(exam_stress.write_e4, session)))
    return Layout(
        "exam_stress",
        "1 = during the exam, 0 = before and after it (midterms 9:00–10:30, finals 11:00–14:00, local time)",
        _EXAM_NOTES,
        sources,
        skipped,
    )


def _nurse_stress(folder: Path, paths: list[Path]) -> Layout:
    if len(paths) != 1:
        raise ModelsError("data", f"the folder needs one table with the columns {', '.join(_REPORTS)}, not {len(paths)}")
    reports: list[tuple[str, int, int, int]] = []
    for number, row in enumerate(tables.rows(paths[0]), 2):
        try:
            if row["stress_level"].strip().lower() not in {"", "na", "nan"}:
                level = float(row["stress_level"])
                reports.append((row["nurse"], int(float(row["start_unix"])), int(float(row["end_unix"])), int(level > 0)))
        except (AttributeError, TypeError, ValueError) as error:
            raise ModelsError("data", f"{paths[0]}, line {number} is no report ({row}): restore the table") from error
    calm: set[tuple[str, int, int]] = set()
    sources = []
    for session in nurse_stress.sessions(folder):
        nurse, first = str(dict(session.key)["nurse"]), int(session.start.timestamp())
        labels = {
            second: level
            for reporter, begin, end, level in reports
            if reporter == nurse
            for second in range(max(first, begin), min(first + session.seconds, end))
        }
        sources.append(Source(nurse, session.name, labels, partial(nurse_stress.write_e4, session)))
        calm.update(
            (reporter, begin, end)
            for reporter, begin, end, level in reports
            if reporter == nurse and not level and begin < first + session.seconds and end > first
        )
    nurses = {source.person for source in sources if source.labels}
    counts = f"Nurses with a label: {len(nurses)}, calm periods: {len(calm)}"
    return Layout(
        "nurse_stress",
        "1 = a period that the nurse herself called stressful afterwards (level 1 or 2), 0 = one that she called calm",
        [*_NURSE_NOTES, f"{counts}. The interval is drawn over sessions and is no interval over people."],
        sources,
        [],
        over="sessions",
    )


@contextmanager
def _as_named(files: dict[str, list[Path]]) -> Iterator[Path]:
    """A folder in which the tables have the names that the readers know them by."""
    with TemporaryDirectory() as place:
        for name, paths in files.items():
            if len(paths) > 1:
                raise ModelsError("data", f"{' and '.join(path.name for path in paths)} hold the same columns: keep one")
            for path in paths:
                (Path(place) / name).symlink_to(path.resolve())
        yield Path(place)


def _as_it_lies(folder: Path, _: Path) -> Path:
    return folder


def _name(participant: int) -> str:
    return f"S{participant:02d}"
