"""The network in floating point, led through a session as `zenmoon_edge.core.strain` leads the int8 file."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.strain import METADATA
from zenmoon_edge.core.tinylstm import TinyLSTM

from zenmoon_models.evaluation.controls import smooth
from zenmoon_models.evaluation.windows import Windows
from zenmoon_models.tinylstm import floating

HEAD = "strain"
_OFF_WRIST_STEPS = 15  # as `Strain`: after a minute off the wrist it begins anew
_OTHER = 0.05  # int8 leaves a mean difference of some thousandths; this is another network

Scores = NDArray[np.float64]


def smoothing_gain(model: bytes) -> float:
    """That of the file's calibration (its format stands in zenmoon_edge.core.strain)."""
    data = TinyLSTM(model).metadata(METADATA) or b""
    return float(struct.unpack_from("<f", data, 8)[0])


def strain(sessions: Sequence[Windows], path: Path, gain: float) -> tuple[list[Scores] | None, str]:
    """(smoothed strain 0–1 of each session [n], "") from the float network behind a file, or (None, why there is none).

    Args:
        sessions: with the int8 file's strain, by which a network that is not the file's own is told.
        path: of the .npz that training wrote.
        gain: of the smoothing.
    """
    if not path.is_file():
        return None, f"no float network was kept for this file ({path.name})"
    try:
        network = floating.load(path)
    except (KeyError, OSError, TypeError, ValueError) as error:
        return None, f"{path.name} cannot be read ({error})"
    found = [_session(network, session, gain) for session in sessions]
    ready = np.concatenate([session.ready for session in sessions])
    if ready.any():
        int8 = np.concatenate([session.strain for session in sessions])[ready]
        if np.mean(np.abs(int8 - np.concatenate(found)[ready])) > _OTHER:
            return None, f"{path.name} is the float of another network than this file"
    return found, ""


def _session(network: floating.Network, session: Windows, gain: float) -> Scores:
    result = np.zeros(len(session.worn))
    for rows in _stretches(session.worn):
        plain = floating.forward(network, session.inputs[rows].astype(np.float32))[HEAD][:, 0]
        result[rows] = smooth(plain, gain)
    return result


def _stretches(worn: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """The worn rows between one new beginning and the next; shorter times off the wrist do not part them."""
    rows = np.flatnonzero(worn)
    if not len(rows):
        return []
    return np.split(rows, np.flatnonzero(np.diff(rows) > _OFF_WRIST_STEPS) + 1)
