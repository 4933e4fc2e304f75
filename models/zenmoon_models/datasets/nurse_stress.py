"""Nurse stress: hospital nurses on duty, Empatica E4 once a second.

Layout: `e4_1hz.parquet` (see one_hertz; its sessions are named by `nurse` and `session`). There are no beats and no
direction of the acceleration. Adults; CC0; Hosseini et al. 2022. A negative control: nobody has found a simple signal of
strain in it, so a detector that does well here has seen something that it should not have.
"""

from pathlib import Path

from zenmoon_models.datasets import e4_folder, one_hertz
from zenmoon_models.datasets.one_hertz import Session

NAME = "Nurse stress"
LICENCE = "CC0-1.0"
CITATION = (
    "Hosseini et al. 2022, A multimodal sensor dataset for continuous stress detection of nurses in a hospital, "
    "Scientific Data 9:255, doi:10.5061/dryad.5hqbzkh6f"
)


def sessions(folder: Path | str) -> list[Session]:
    """Every session of every nurse, as the set names them: `15_1594140175`, … (nurse and unix time of its start).

    Raises:
        ModelsError: `data` when the folder is not laid out as above, `extra` without pyarrow.
    """
    return one_hertz.sessions(Path(folder), ("nurse", "session"), lambda _, session: str(session))


def write_e4(session: Session, folder: Path | str) -> Path:
    """Writes a session as an Empatica E4 folder; what becomes of a second stands in e4_folder.

    Raises:
        ModelsError: as `sessions`, and `data` when the folder is not empty.
    """
    return e4_folder.write(folder, one_hertz.seconds(session))


def digest(folder: Path | str) -> str:
    """SHA-256 over name and bytes of the table: what a card cites."""
    return one_hertz.digest(Path(folder), (one_hertz.TABLE,))
