"""Exam stress: students at three exams, Empatica E4 once a second with the beats it was sure of.

Layout: `e4_1hz.parquet` (see one_hertz; its sessions are named by `student` and `exam`, and it holds the second's mean
acceleration as `acc_x`, `acc_y`, `acc_z` in g) beside `ibi.parquet` (`student`, `exam`, `unix_s` of a beat, `ibi_s` before
it). Adults; ODC-By 1.0; Amin et al. 2022. Some sessions have no motion.
"""

from pathlib import Path

from zenmoon_models.datasets import e4_folder, one_hertz
from zenmoon_models.datasets.one_hertz import Session

NAME = "Exam stress"
LICENCE = "ODC-By-1.0"
CITATION = (
    "Amin et al. 2022, A Wearable Exam Stress Dataset for Predicting Cognitive Performance in Real-World Settings, PhysioNet, "
    "doi:10.13026/kvkb-aj90"
)
_BEATS = "ibi.parquet"


def sessions(folder: Path | str) -> list[Session]:
    """Every session of every student: `08-midterm-2`, `08-final`, …

    Raises:
        ModelsError: `data` when the folder is not laid out as above, `extra` without pyarrow.
    """
    return one_hertz.sessions(
        Path(folder), ("student", "exam"), lambda student, exam: f"{int(student):02d}-{exam.lower().replace(' ', '-')}"
    )


def write_e4(session: Session, folder: Path | str) -> Path:
    """Writes a session as an Empatica E4 folder, without beats where there is no table of them; see e4_folder.

    Raises:
        ModelsError: as `sessions`, and `data` when the folder is not empty.
    """
    path = session.folder / _BEATS
    beats = one_hertz.beats(session, path) if path.is_file() else None
    return e4_folder.write(folder, one_hertz.seconds(session, ("acc_x", "acc_y", "acc_z"), beats))


def digest(folder: Path | str) -> str:
    """SHA-256 over names and bytes of the tables: what a card cites."""
    return one_hertz.digest(Path(folder), (one_hertz.TABLE, _BEATS))
