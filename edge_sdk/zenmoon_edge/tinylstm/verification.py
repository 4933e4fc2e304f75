"""Do all engines that are here give the same integers?"""

import numpy as np

from zenmoon_edge.core.tinylstm import TinyLSTM
from zenmoon_edge.tinylstm.engines import ENGINES, EngineError, run_portable

STEPS = 400


def compare(model: bytes, *, calls: int | None = None, seed: int = 1) -> tuple[dict[str, int], dict[str, str], dict[str, str]]:
    """Runs every engine on the same random steps, half of them over the whole range and half of ordinary size.

    Args:
        model: the bytes of a .tflite file.
        calls: how many; as many as make 400 time steps, where not given.
        seed: of the random steps.

    Returns:
        (calls whose output differs from the portable engine's, per engine that ran; what those said that refuse the file or failed;
        why the others are not here).

    Raises:
        ModelError: the portable engine refuses the file.
    """
    runner = TinyLSTM(model, "portable")
    calls = calls or max(8, STEPS // runner.steps)
    random = np.random.default_rng(seed)
    wide = random.integers(-128, 128, (calls, runner.input_size))
    ordinary = random.normal(0, 30, (calls, runner.input_size))
    inputs = np.clip(np.where(np.arange(calls)[:, None] % 2, wide, ordinary), -128, 127).astype(np.int8)
    reference = run_portable(model, inputs)
    different: dict[str, int] = {}
    refused: dict[str, str] = {}
    absent: dict[str, str] = {}
    for name, engine in ENGINES.items():
        try:
            different[name] = int((engine(model, inputs) != reference).any(axis=1).sum())
        except EngineError as error:
            (absent if error.reason == "absent" else refused)[name] = error.detail
    return different, refused, absent


def verify(model: bytes, *, calls: int | None = None, seed: int = 1) -> tuple[dict[str, int], dict[str, str]]:
    """As `compare`, for a file that every engine must run: without what refused it.

    Raises:
        EngineError: `failed`: one that is here refuses the file.
        ModelError: the portable engine does.
    """
    different, refused, absent = compare(model, calls=calls, seed=seed)
    for said in refused.values():
        raise EngineError("failed", said)
    return different, absent
