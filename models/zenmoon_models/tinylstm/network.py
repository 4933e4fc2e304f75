"""Training a `Network` in Keras, and cutting it down.

TensorFlow converts an LSTM to one fused int8 operator only from the Keras 2 code path with a fixed batch of one, so a network
is trained with a free batch, and `conversion` builds a twin with the same weights.
"""

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from zenmoon_models.errors import ModelsError
from zenmoon_models.tinylstm import floating
from zenmoon_models.tinylstm.floating import Network

_EQUAL = 1e-5  # between Keras in single and numpy in double precision
_LOSSES = {"linear": "mse", "sigmoid": "binary_crossentropy", "tanh": "mse", "softmax": "categorical_crossentropy"}


class Chunks(NamedTuple):
    """Training chunks.

    inputs [n, steps, features]; targets by head [n, steps, size] (one-hot for a softmax); weights by head [n, steps], 0 where
    the target is unknown.
    """

    inputs: NDArray[np.float32]
    targets: Mapping[str, NDArray[np.float32]]
    weights: Mapping[str, NDArray[np.float32]]


class Settings(NamedTuple):
    """Of one training.

    losses: Keras' name or a function for a head that shall not have its activation's usual one; shares: weight of a head's
    loss, 1 where it is not named; quantised: the LSTM is trained through the rounding of int8 (see `quantised`).
    """

    epochs: int = 20
    batch: int = 64
    learning_rate: float = 2e-3
    dropout: float = 0.2
    losses: Mapping[str, str | Callable[..., Any]] = {}
    shares: Mapping[str, float] = {}
    quantised: bool = False


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
    try:
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:  # fixed at the first training of this process, where they were set like this
        pass
    return tensorflow, tf_keras


def build(
    tf_keras: Any,
    network: Network,
    *,
    batch: int | None,
    steps: int | None,
    every_step: bool,
    dropout: float = 0.0,
    quantised: bool = False,
) -> Any:
    """The Keras model of a network, with its weights: outputs of every step, or of the last one."""
    layers = tf_keras.layers
    inputs = tf_keras.Input((steps, network.features), batch_size=batch, name="inputs")
    state = inputs
    if network.units and quantised:
        state = layers.RNN(_rounding_cell(tf_keras, network.units), return_sequences=every_step, name="lstm")(inputs)
    elif network.units:
        state = layers.LSTM(network.units, return_sequences=every_step, name="lstm")(inputs)
    if dropout:
        state = layers.Dropout(dropout)(state)
    now = inputs if every_step else inputs[:, -1, :]
    outputs = [
        layers.Dense(head.size, activation=head.activation, name=head.name)(state if head.source == "state" else now)
        for head in network.heads
    ]
    model = tf_keras.Model(inputs, outputs)
    for layer in model.layers:
        names = [name for name in network.weights if name.startswith(f"{layer.name}/")]
        if names:
            layer.set_weights([network.weights[name] for name in names])
    return model


def train(tf_keras: Any, start: Network, data: Chunks, settings: Settings, *, seed: int) -> Network:
    """Trains on from `start`; prints a line an epoch.

    Raises:
        ModelsError: `conversion` when Keras and `floating` do not compute the same from the same weights.
    """
    tf_keras.utils.set_random_seed(seed)
    model = build(
        tf_keras,
        start,
        batch=None,
        steps=data.inputs.shape[1],
        every_step=True,
        dropout=settings.dropout,
        quantised=settings.quantised,
    )
    names = [head.name for head in start.heads]
    model.compile(
        optimizer=tf_keras.optimizers.Adam(settings.learning_rate, clipnorm=1.0),
        loss={head.name: settings.losses.get(head.name, _LOSSES[head.activation]) for head in start.heads},
        loss_weights={name: settings.shares.get(name, 1.0) for name in names},
    )
    order = np.random.default_rng(seed).permutation(len(data.inputs))
    model.fit(
        data.inputs[order],
        {name: data.targets[name][order] for name in names},
        sample_weight={name: data.weights[name][order] for name in names},
        epochs=settings.epochs,
        batch_size=settings.batch,
        verbose=2,
    )
    trained = read(model, start)
    plain = build(tf_keras, trained, batch=None, steps=data.inputs.shape[1], every_step=True) if settings.quantised else model
    check(plain, trained, data.inputs[:32])
    return trained


def read(model: Any, like: Network) -> Network:
    """The network in a Keras model that `build` made of `like`."""
    weights: dict[str, Any] = {}
    for layer in model.layers:
        names = [name for name in like.weights if name.startswith(f"{layer.name}/")]
        weights |= dict(zip(names, layer.get_weights(), strict=True)) if names else {}
    return like._replace(weights={name: weights[name] for name in like.weights})


def check(model: Any, network: Network, inputs: NDArray[np.float32]) -> None:
    """Keras and `floating` give the same within 1e-5.

    Raises:
        ModelsError: `conversion` when they do not.
    """
    outputs = model.predict(inputs, verbose=0)
    outputs = outputs if isinstance(outputs, list) else [outputs]
    expected = floating.forward(network, inputs)
    worst = max(float(abs(a - expected[head.name]).max()) for a, head in zip(outputs, network.heads, strict=True))
    if not worst <= _EQUAL:
        raise ModelsError("conversion", f"Keras and the float reference differ by {worst:.2g}: the cell's equations have changed")


def prune(tf_keras: Any, network: Network, units: int, data: Chunks, settings: Settings, *, seed: int, at_once: int = 4) -> Network:
    """Cuts the least salient units, `at_once` at a time, and trains on after each cut, until `units` are left."""
    while network.units > units:
        least = np.argsort(floating.saliency(network, data.inputs), kind="stable")[: min(at_once, network.units - units)]
        network = floating.without(network, sorted(least.tolist()))
        network = train(tf_keras, network, data, settings, seed=seed)
    return network


def _rounding_cell(tf_keras: Any, units: int) -> Any:
    """An LSTM cell that is trained through the rounding it will meet: int8 weights with a scale a gate, int8 hidden state in ±1.

    Gradients pass the rounding as if it were not there (Jacob et al. 2018, CVPR). The cell state has 16 bits and is left alone.
    """
    tensorflow = import_module("tensorflow")

    def rounded(weights: Any) -> Any:
        gates = []
        for gate in tensorflow.split(weights, 4, axis=1):
            limit = tensorflow.stop_gradient(tensorflow.reduce_max(tensorflow.abs(gate)))
            gates.append(tensorflow.quantization.fake_quant_with_min_max_vars(gate, -limit, limit, narrow_range=True))
        return tensorflow.concat(gates, axis=1)

    class RoundingCell(tf_keras.layers.LSTMCell):  # type: ignore[misc]
        def call(self, inputs: Any, states: Any, training: Any = None) -> Any:  # noqa: ARG002 - Keras passes it
            hidden, cell = states
            gates = inputs @ rounded(self.kernel) + hidden @ rounded(self.recurrent_kernel) + self.bias
            update, forget, value, out = tensorflow.split(gates, 4, axis=1)
            cell = tensorflow.sigmoid(forget) * cell + tensorflow.sigmoid(update) * tensorflow.tanh(value)
            hidden = tensorflow.sigmoid(out) * tensorflow.tanh(cell)
            hidden = tensorflow.quantization.fake_quant_with_min_max_args(hidden, -1.0, 1.0)
            return hidden, [hidden, cell]

    return RoundingCell(units)
