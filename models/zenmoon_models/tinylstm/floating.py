"""A network as numbers, and what it computes in floating point: the reference that int8 is measured against.

Training makes a `Network`, conversion takes one, and `float/NAME.npz` keeps the one behind each shipped file, so that a
shipped model can be compared with its float without TensorFlow. Equations of the cell: Hochreiter & Schmidhuber 1997 with
forget gate (Gers et al. 2000), gates in the order input, forget, cell, output, as Keras keeps them.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).with_name("float")
ACTIVATIONS = ("linear", "sigmoid", "tanh", "softmax")

Values = NDArray[np.float64]


class Head(NamedTuple):
    """One output: a dense layer of `size` values on the LSTM's state, or straight on the step's inputs."""

    name: str
    size: int
    activation: str = "linear"
    source: str = "state"  # or "input"


class Network(NamedTuple):
    """An LSTM with heads.

    weights: "lstm/kernel" [features, 4·units], "lstm/recurrent" [units, 4·units], "lstm/bias" [4·units] (none of the three
    where every head reads the inputs), and "NAME/kernel" [units or features, size], "NAME/bias" [size] for each head.
    """

    features: int
    heads: tuple[Head, ...]
    weights: dict[str, NDArray[np.float32]]

    @property
    def units(self) -> int:
        """Of the LSTM; 0 without one."""
        return len(self.weights["lstm/recurrent"]) if "lstm/recurrent" in self.weights else 0


def initial(features: int, units: int, heads: tuple[Head, ...], seed: int) -> Network:
    """Untrained: Glorot-uniform kernels, orthogonal recurrent kernels, forget bias 1 (Jozefowicz et al. 2015)."""
    random = np.random.default_rng(seed)

    def glorot(rows: int, columns: int) -> NDArray[np.float32]:
        limit = np.sqrt(6 / (rows + columns))
        return random.uniform(-limit, limit, (rows, columns)).astype(np.float32)

    weights = {}
    if units:
        q, r = np.linalg.qr(random.normal(size=(4 * units, units)))
        weights["lstm/kernel"] = glorot(features, 4 * units)
        weights["lstm/recurrent"] = (q * np.sign(np.diag(r))).T.astype(np.float32)
        weights["lstm/bias"] = np.repeat([0, 1, 0, 0], units).astype(np.float32)
    for head in heads:
        weights[f"{head.name}/kernel"] = glorot(units if head.source == "state" else features, head.size)
        weights[f"{head.name}/bias"] = np.zeros(head.size, np.float32)
    return Network(features, heads, weights)


def states(network: Network, inputs: NDArray[np.floating]) -> Values:
    """Hidden states [..., steps, units] of sequences [..., steps, features], each from a reset state."""
    units = network.units
    kernel, recurrent, bias = (network.weights[f"lstm/{name}"].astype(np.float64) for name in ("kernel", "recurrent", "bias"))
    driven = inputs.astype(np.float64) @ kernel + bias
    hidden = np.zeros((*inputs.shape[:-2], units))
    cell = np.zeros_like(hidden)
    result = np.empty((*inputs.shape[:-1], units))
    for step in range(inputs.shape[-2]):
        gates = driven[..., step, :] + hidden @ recurrent
        update, forget, value, out = (gates[..., i * units : (i + 1) * units] for i in range(4))
        cell = _sigmoid(forget) * cell + _sigmoid(update) * np.tanh(value)
        hidden = _sigmoid(out) * np.tanh(cell)
        result[..., step, :] = hidden
    return result


def forward(network: Network, inputs: NDArray[np.floating]) -> dict[str, Values]:
    """Every head's output [..., steps, size] for sequences [..., steps, features], each from a reset state."""
    hidden = states(network, inputs) if network.units else None
    result = {}
    for head in network.heads:
        source = inputs.astype(np.float64) if head.source == "input" or hidden is None else hidden
        plain = source @ network.weights[f"{head.name}/kernel"].astype(np.float64) + network.weights[f"{head.name}/bias"]
        result[head.name] = _activated(head.activation, plain)
    return result


def without(network: Network, units: list[int]) -> Network:
    """The network with these LSTM units cut out: their gates, what they feed back, and what the heads read of them."""
    kept = np.setdiff1d(np.arange(network.units), units)
    columns = np.concatenate([gate * network.units + kept for gate in range(4)])
    weights = dict(network.weights)
    weights["lstm/kernel"] = weights["lstm/kernel"][:, columns]
    weights["lstm/recurrent"] = weights["lstm/recurrent"][np.ix_(kept, columns)]
    weights["lstm/bias"] = weights["lstm/bias"][columns]
    for head in network.heads:
        if head.source == "state":
            weights[f"{head.name}/kernel"] = weights[f"{head.name}/kernel"][kept]
    return network._replace(weights=weights)


def saliency(network: Network, inputs: NDArray[np.floating]) -> Values:
    """How much each unit says [units]: the spread of its state over `inputs` [n, steps, features] times the length of what
    reads it (weights of the other units' gates and of the heads)."""
    spread = states(network, inputs).reshape(-1, network.units).std(0)
    readers = [network.weights["lstm/recurrent"]]
    readers += [network.weights[f"{head.name}/kernel"] for head in network.heads if head.source == "state"]
    return np.asarray(spread * np.linalg.norm(np.concatenate(readers, axis=1), axis=1))


def save(network: Network, path: Path) -> None:
    """Writes the network as .npz; the same numbers give the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    description = json.dumps({"features": network.features, "heads": [list(head) for head in network.heads]})
    with path.open("wb") as file:
        np.savez(file, network=np.array(description), **network.weights)  # type: ignore[arg-type]


def load(path: Path) -> Network:
    """The network that `save` wrote.

    Raises:
        OSError, ValueError: no such file, or another one.
    """
    with np.load(path, allow_pickle=False) as file:
        description = json.loads(str(file["network"]))
        weights = {name: file[name] for name in file.files if name != "network"}
    return Network(description["features"], tuple(Head(*head) for head in description["heads"]), weights)


def _sigmoid(x: Values) -> Values:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))


def _activated(activation: str, x: Values) -> Values:
    if activation == "sigmoid":
        return _sigmoid(x)
    if activation == "tanh":
        return np.tanh(x)
    if activation == "softmax":
        e = np.exp(x - x.max(-1, keepdims=True))
        return np.asarray(e / e.sum(-1, keepdims=True))
    return np.asarray(x)
