"""The network and its training.

TensorFlow converts an LSTM to one fused int8 operator only from the Keras 2 code path with a fixed batch of one, so the
model is trained with a free batch and its weights are copied into a twin (`conversion`).
"""

import os
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.features import INPUT_NAMES, INPUTS

from zenmoon_models.errors import ModelsError
from zenmoon_models.tinylstm.sequences import Sequence

UNITS = 16
STEPS = 60  # 4 min of windows
STRIDE = 6
EPOCHS = 20
BATCH = 64
LEARNING_RATE = 2e-3
WARM_UP = 10  # steps of a chunk that teach nothing: the state has only just begun
EXPECTED = (INPUT_NAMES.index("heart_rate"), INPUT_NAMES.index("conductance"))
EXPECTATION_WEIGHT = 0.3


class Chunks(NamedTuple):
    """Training chunks [n, STEPS, …] with weights per step: 0 where a target is unknown."""

    inputs: NDArray[np.float32]
    strain: NDArray[np.float32]
    strain_weight: NDArray[np.float32]
    expectation: NDArray[np.float32]
    expectation_weight: NDArray[np.float32]


def keras(seed: int) -> tuple[Any, Any]:
    """(tensorflow, tf_keras), seeded and single-threaded so that a run can be repeated.

    Raises:
        ModelsError: `extra` when TensorFlow is not installed.
    """
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    try:
        tensorflow = import_module("tensorflow")
        tf_keras = import_module("tf_keras")
    except ImportError as error:
        raise ModelsError("extra", f"{error.name} is not installed: run `pip install 'zenmoon-models[train]'`") from error
    if not tensorflow.executing_eagerly():  # pragma: no cover - a caller that switched TensorFlow 2 off
        raise ModelsError("extra", "TensorFlow runs without eager execution")
    tf_keras.utils.set_random_seed(seed)
    tensorflow.config.experimental.enable_op_determinism()
    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    return tensorflow, tf_keras


def chunks(sequences: list[Sequence]) -> Chunks:
    """Overlapping chunks of worn windows; nobody's two sessions or sides of a gap are joined."""
    rows: list[tuple[NDArray[np.float32], ...]] = []
    for sequence in sequences:
        for first in range(0, len(sequence.inputs) - STEPS, STRIDE):
            here = slice(first, first + STEPS)
            if not sequence.worn[first : first + STEPS + 1].all():
                continue
            started = (np.arange(STEPS) >= WARM_UP).astype(np.float32)
            rows.append(
                (
                    sequence.inputs[here],
                    (sequence.label[here, None] == 1).astype(np.float32),
                    started * (sequence.label[here] >= 0),
                    sequence.inputs[first + 1 : first + STEPS + 1, list(EXPECTED)],
                    started,
                )
            )
    return Chunks(*(np.stack(column).astype(np.float32) for column in zip(*rows, strict=True)))


def build(tf_keras: Any, *, batch: int | None, steps: int | None, every_step: bool) -> Any:
    """8 inputs → LSTM → strain (sigmoid) and the two expected next inputs (linear)."""
    layers = tf_keras.layers
    inputs = tf_keras.Input((steps, INPUTS), batch_size=batch, name="inputs")
    state = layers.LSTM(UNITS, return_sequences=every_step, name="lstm")(inputs)
    if every_step:
        state = layers.Dropout(0.2)(state)
    strain = layers.Dense(1, activation="sigmoid", name="strain")(state)
    expectation = layers.Dense(2, name="expectation")(state)
    return tf_keras.Model(inputs, [strain, expectation])


def train(tf_keras: Any, data: Chunks, seed: int) -> Any:
    """One run with fixed settings; prints a line an epoch."""
    model = build(tf_keras, batch=None, steps=None, every_step=True)
    model.compile(
        optimizer=tf_keras.optimizers.Adam(LEARNING_RATE, clipnorm=1.0),
        loss={"strain": "binary_crossentropy", "expectation": "mse"},
        loss_weights={"strain": 1.0, "expectation": EXPECTATION_WEIGHT},
    )
    order = np.random.default_rng(seed).permutation(len(data.inputs))
    model.fit(
        data.inputs[order],
        {"strain": data.strain[order], "expectation": data.expectation[order]},
        sample_weight={"strain": data.strain_weight[order], "expectation": data.expectation_weight[order]},
        epochs=EPOCHS,
        batch_size=BATCH,
        verbose=2,
    )
    return model
