"""The figures of the wearable's card: every head on people held out, every step of the way from float to streaming int8."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core.strain import Strain
from zenmoon_edge.core.tinylstm import TinyLSTM
from zenmoon_edge.tinylstm import quantise

from zenmoon_models.tinylstm import anomalies, denoise, evaluation, scores
from zenmoon_models.tinylstm.denoise import Case, filtered
from zenmoon_models.tinylstm.floating import Network, forward
from zenmoon_models.tinylstm.sequences import Sequence
from zenmoon_models.tinylstm.strain_head import pooled, scored, smooth

_DIGITS = 4
_BPM = 5.0  # of the loss in training
_KINDS = ("loud", "drift", "quiet")


def all_figures(
    model: bytes,
    network: Network,
    data: Any,
    *,
    stages: dict[str, Network],
    window_model: bytes,
    gain: float,
    channels: tuple[int, int],
    seed: int,
) -> dict[str, Any]:
    """What the card says of people held out.

    Args:
        model: the shipped file; network: its float.
        data: what `wearable` read.
        stages: by name, the networks on the way.
        window_model: the file before it was cut to one step a call.
        gain: of the smoothing; channels: of the expectation; seed: of the intervals.
    """
    rivals = denoise.rivals(data.training_cases[::4])
    figures = evaluation.strain_figures(model, network, data.training, data.held_out, gain=gain, seed=seed)
    return {
        **figures,
        "ablation": [
            *({"stage": name, **_float_stage(one, data, channels, gain)} for name, one in stages.items()),
            {"stage": "int8, one step a call (what ships)", **_int8_stage(model, figures, data)},
        ],
        "streaming": streaming(model, window_model, data.held_out),
        "heart_rate": {
            "recordings": _heart_rate(model, network, data.held_out_cases, rivals),
            "simulated": _heart_rate(model, network, data.simulated_cases, rivals),
        },
        "anomaly": _anomaly(model, data, channels, gain, seed),
    }


def recurrent(model: bytes, people: list[Sequence], cases: list[Case]) -> dict[str, float]:
    """The LSTM's two heads of an int8 file: error of expectation in standard deviations, of the heart rate in bpm, and the loss."""
    expectation = _root_mean_square([_surprises(model, person) for person in people])
    rate = denoise.errors(cases, lambda case: _denoised(model, case))
    return {
        "expectation_rmse": expectation,
        "heart_rate_mae": rate["mae"],
        "loss": expectation**2 + rate["mae"] / _BPM,
    }


def streaming(model: bytes, window_model: bytes, people: list[Sequence]) -> dict[str, int]:
    """Calls of the whole-window file whose outputs differ from the streaming file's after the same steps."""
    window, step = TinyLSTM(window_model), TinyLSTM(model)
    different = calls = 0
    for person in people:
        rows = quantise(step, person.inputs)
        whole = len(rows) // window.steps
        window.reset()
        step.reset()
        for call in rows[: whole * window.steps].reshape(whole, -1).tolist():
            singles = [step.step(call[i : i + step.input_size]) for i in range(0, len(call), step.input_size)]
            different += window.step(call) != singles[-1]
            calls += 1
    return {"windows": calls, "steps_a_window": window.steps, "different": different}


def rounded(value: Any) -> Any:
    """Every number of a figure with four digits."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(float(value), _DIGITS) if isinstance(value, float) else value


def _float_stage(network: Network, data: Any, channels: tuple[int, int], gain: float) -> dict[str, Any]:
    strain, errors = [], []
    for person in data.held_out:
        outputs = forward(network, person.inputs)
        strain.append(scored(person, smooth(outputs["strain"][:, 0], gain)))
        errors.append((person.inputs[1:, list(channels)] - outputs["expectation"][:-1])[person.worn[1:] & person.worn[:-1]])
    rate = denoise.errors(data.held_out_cases, lambda case: _float_rate(network, case))
    return {"auroc": pooled(strain), "expectation_rmse": _root_mean_square(errors), **_rate(rate), "bytes": None}


def _int8_stage(model: bytes, figures: dict[str, Any], data: Any) -> dict[str, Any]:
    errors = _root_mean_square([_surprises(model, person) for person in data.held_out])
    rate = denoise.errors(data.held_out_cases, lambda case: _denoised(model, case))
    return {"auroc": figures["auroc_int8"], "expectation_rmse": errors, **_rate(rate), "bytes": len(model)}


def _rate(errors: dict[str, float]) -> dict[str, float]:
    return {"heart_rate_mae_clean": errors["mae_clean"], "heart_rate_mae_corrupted": errors["mae_corrupted"]}


def _heart_rate(model: bytes, network: Network, cases: list[Case], rivals: dict[str, denoise.Filter]) -> list[dict[str, Any]]:
    columns = {"shipped (int8)": lambda case: _denoised(model, case), "the same in float": lambda case: _float_rate(network, case)}
    return [{"filter": name, **denoise.errors(cases, one)} for name, one in {**columns, **rivals}.items()]


def _anomaly(model: bytes, data: Any, channels: tuple[int, int], gain: float, seed: int) -> dict[str, Any]:
    def part(column: int) -> anomalies.Score:
        return lambda person: known(person)[:, column]

    seen: dict[int, NDArray[np.float64]] = {}

    def known(person: Sequence) -> NDArray[np.float64]:
        # The runner is led through each session once, not once a column.
        if id(person) not in seen:
            seen[id(person)] = anomalies.evidence(model, person)
        return seen[id(person)]

    columns = {
        "anomaly": part(len(_KINDS)),
        **{name: part(i) for i, name in enumerate(_KINDS)},
        **anomalies.controls(channels, gain),
    }
    faults = anomalies.detection(data.trials, columns)
    people = anomalies.exceeded(data.trials, part(len(_KINDS)))

    def mean(name: str) -> list[float]:
        return scores.interval([float(row[name]) for row in people], lambda drawn: float(np.mean(drawn)), seed=seed)

    levels = [name for name in people[0] if name != "person"]
    return {
        "faults": faults,
        "mean_of_faults": {name: float(np.mean([row[name] for row in faults])) for name in columns},
        "exceeded": people,
        "mean_exceeded": {name: float(np.mean([row[name] for row in people])) for name in levels},
        "ci95_exceeded": {name: mean(name) for name in levels},
    }


def _surprises(model: bytes, person: Sequence) -> NDArray[np.float64]:
    """Errors of expectation [m, 2] of the int8 file, in standard deviations of the inputs."""
    strain = Strain(model)
    errors = []
    for inputs, worn in zip(person.inputs.tolist(), person.worn.tolist(), strict=True):
        expected = strain.expected()
        if worn and expected is not None:
            errors.append([inputs[channel] - value for channel, value in zip(strain.channels, expected, strict=True)])
        strain.step(inputs if worn else None)
    return np.array(errors)


def _denoised(model: bytes, case: Case) -> NDArray[np.float64]:
    strain = Strain(model)
    result = []
    for inputs, measured in zip(case.inputs.tolist(), case.measured.tolist(), strict=True):
        strain.step(inputs if any(inputs) else None, None if np.isnan(measured) else measured)
        rate = strain.heart_rate_bpm()
        result.append(np.nan if rate is None else rate)
    return np.array(result)


def _float_rate(network: Network, case: Case) -> NDArray[np.float64]:
    return filtered(case.measured, forward(network, case.inputs)["gain"][:, 0])


def _root_mean_square(errors: list[NDArray[np.float64]]) -> float:
    return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))
