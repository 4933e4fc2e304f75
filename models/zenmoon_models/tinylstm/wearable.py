"""The wearable's model: strain, what to expect of heart rate and skin conductance, and how far to trust the heart rate.

    inputs ──► LSTM ──► expectation: the next step's heart rate and conductance (from which the anomaly is made)
       │          └───► gain: how much of this step's measured heart rate to take in (the denoised heart rate)
       └──────────────► strain: logistic regression

The LSTM is trained on clean recordings (expectation) and on ones with a spoilt heart rate whose truth is known (gain).
"""

import struct
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from zenmoon_edge.core import surprise
from zenmoon_edge.core.features import INPUT_NAMES, INPUTS, WINDOW_S
from zenmoon_edge.core.strain import HEAD, METADATA
from zenmoon_edge.virtual.recording import Recording

from zenmoon_models.datasets import stress_predict
from zenmoon_models.errors import ModelsError
from zenmoon_models.tinylstm import anomalies, conversion, denoise, faults, floating, network, strain_head, wearable_figures
from zenmoon_models.tinylstm import card as cards
from zenmoon_models.tinylstm.anomalies import Trial
from zenmoon_models.tinylstm.denoise import Case
from zenmoon_models.tinylstm.floating import Head, Network
from zenmoon_models.tinylstm.sequences import Sequence, Session, sequence, session, split, windows
from zenmoon_models.tinylstm.wearable_page import page

__all__ = ["SOURCES", "page", "train"]

HELD_OUT = 7
STEPS = 60  # of a chunk: 4 min of windows
STRIDE, SPOILT_STRIDE = 6, 12
WARM_UP = 10  # steps of a chunk that teach nothing: the state has only just begun
FIRST_UNITS, UNITS = 24, 16
SPOILT_TIMES = 4  # how often each training session is spoilt anew
TRAINING = network.Settings(epochs=14, dropout=0.1)
TUNING_EPOCHS = 3  # after each cut, and for the comparison of the two ways to quantise
READY_STEPS = 10  # 40 s: by then the smoothing has taken in most of what it averages
SMOOTHING_GAIN = 0.0952  # 1 − exp(−4 s / 40 s)
CHANNELS = (INPUT_NAMES.index("heart_rate"), INPUT_NAMES.index("conductance"))
LEVELS = 17  # of surprise: 1 − 2^(−i/2), i = 0…15, and the most
# Children of the simulator, for a heart rate that is known by construction: the gain learns of some, and is scored on others.
SIMULATED_TRAINING, SIMULATED = (101, 102, 103, 104), (2, 7, 11)
SIMULATED_BEGIN, SIMULATED_S = datetime(2026, 9, 9, 7, 55, tzinfo=UTC), 3600
PURPOSE = (
    "strain: arousal against this wearer's usual, 0–1; anomaly: how unusual heart rate and skin conductance were, 0–1; "
    "heart rate without the damage that motion does to it"
)
LIMITS = [
    "Adult results; not a diagnosis.",
    "Trained on laboratory stress tasks; talking, walking and heat also raise arousal.",
    "Not tested on children. Quality bits say when to say nothing.",
    "Faults and motion artefacts are made, not recorded: real ones may look otherwise.",
    "The denoised heart rate is tested with the kinds of damage that it was trained with.",
    "Two constants of the features (spread before a wearer's own is known, when a band counts as worn) were read off all people.",
]
COMMAND = "python -m zenmoon_models.tinylstm train wearable --shared DIR"
SOURCES = (
    "zenmoon_edge.core.second",
    "zenmoon_edge.core.features",
    "zenmoon_edge.core.surprise",
    "zenmoon_edge.core.strain",
    "zenmoon_edge.virtual.recording",
    "zenmoon_models.datasets.stress_predict",
    "zenmoon_models.tinylstm.sequences",
    "zenmoon_models.tinylstm.faults",
    "zenmoon_models.tinylstm.floating",
    "zenmoon_models.tinylstm.network",
    "zenmoon_models.tinylstm.strain_head",
    "zenmoon_models.tinylstm.denoise",
    "zenmoon_models.tinylstm.anomalies",
    "zenmoon_models.tinylstm.conversion",
    "zenmoon_models.tinylstm.scores",
    "zenmoon_models.tinylstm.evaluation",
    "zenmoon_models.tinylstm.wearable",
    "zenmoon_models.tinylstm.wearable_figures",
)

_Source = tuple[Case, NDArray[np.bool_], int, float]  # with: worn, stride, weight of the expectation

_HEADS = (Head("expectation", 2), Head("gain", 1, "sigmoid"))


class Data(NamedTuple):
    """Everything that is read: sequences of the people, sessions with a spoilt heart rate, and faults for those held out."""

    training: list[Sequence]
    held_out: list[Sequence]
    training_cases: list[Case]
    simulated_training_cases: list[Case]
    held_out_cases: list[Case]
    simulated_cases: list[Case]
    trials: list[Trial]


def train(data: Path | None, out: Path, *, seed: int) -> Path:
    """Compares, trains, prunes, quantises, verifies and scores; writes wearable.tflite, wearable.json, wearable.md and the float
    network.

    Args:
        data: the folder that holds the folder `stress_predict`.
        out: for the three files.
        seed: of every random number.

    Raises:
        ModelsError: bad data, a missing package, or a conversion that is not the same on every engine.
    """
    folder = (data or Path()) / "stress_predict"
    tensorflow, tf_keras = network.keras(seed)
    read = _read(folder, seed)
    chosen = chunks(read.training, [*read.training_cases, *read.simulated_training_cases])

    candidates = strain_head.compare(tf_keras, read.training, SMOOTHING_GAIN, seed)
    print(f"training on {len(read.training)} people, {len(chosen.inputs)} chunks of {STEPS} steps", flush=True)
    training = TRAINING._replace(losses={"gain": denoise.loss(tensorflow)})
    tuning = training._replace(epochs=TUNING_EPOCHS)
    whole = network.train(tf_keras, floating.initial(INPUTS, FIRST_UNITS, _HEADS, seed), chosen, training, seed=seed)
    print("pruning", flush=True)
    pruned = network.prune(tf_keras, whole, UNITS, chosen, tuning, seed=seed)
    weights = strain_head.fit(read.training, SMOOTHING_GAIN, seed)

    tuned = {
        "after training": network.train(tf_keras, pruned, chosen, tuning, seed=seed),
        "in training": network.train(tf_keras, pruned, chosen, tuning._replace(quantised=True), seed=seed),
    }
    print("quantising", flush=True)
    files = {way: _file(tensorflow, tf_keras, _with_strain(one, weights), chosen.inputs, read) for way, one in tuned.items()}
    ways: list[dict[str, Any]] = [
        {"quantised": way, **wearable_figures.recurrent(files[way], read.training[::3], read.training_cases[:: 3 * SPOILT_TIMES])}
        for way in tuned
    ]
    # Of two equally simple ways the one whose int8 file leaves the smaller sum of the two losses on the training people.
    best = str(min(ways, key=lambda row: float(row["loss"]))["quantised"])
    final, model = _with_strain(tuned[best], weights), conversion.agreed(files[best])

    print("scoring the people held out", flush=True)
    stages = {
        f"float, {FIRST_UNITS} units": _with_strain(whole, weights),
        f"float, pruned to {UNITS} units": final,
    }
    window_model = conversion.quantise(tensorflow, tf_keras, final, chosen.inputs)
    figures = wearable_figures.all_figures(
        model, final, read, stages=stages, window_model=window_model, gain=SMOOTHING_GAIN, channels=CHANNELS, seed=seed
    )
    figures |= {"candidates": candidates, "quantisation": {"chosen": best, "compared": ways}}
    facts = cards.card(
        "wearable",
        model,
        purpose=PURPOSE,
        limits=LIMITS,
        data=cards.data_facts(stress_predict, population="adults", sha256=stress_predict.digest(folder)),
        training=[person.person for person in read.training],
        held_out=[person.person for person in read.held_out],
        settings={
            "seed": seed,
            "units": UNITS,
            "first_units": FIRST_UNITS,
            "chunk_steps": STEPS,
            "epochs": TRAINING.epochs,
            "epochs_after_a_cut": TUNING_EPOCHS,
            "batch": TRAINING.batch,
            "learning_rate": TRAINING.learning_rate,
            "simulated_children": len(SIMULATED_TRAINING),
            "smoothing_s": 40,
            "tensorflow": version("tensorflow"),
        },
        sources=SOURCES,
        figures=wearable_figures.rounded(figures),
    )
    floating.save(final, floating.FOLDER / "wearable.npz" if out == cards.SHIPPED else out / "float" / "wearable.npz")
    return cards.write(out, "wearable", model, facts, page(facts))


def chunks(people: list[Sequence], cases: list[Case]) -> network.Chunks:
    """Overlapping chunks of worn windows; nobody's two sessions or sides of a gap are joined.

    Clean ones teach what to expect, and that a sound heart rate is to be taken as it is; spoilt ones teach the gain alone.
    """
    rows: list[tuple[NDArray[np.float32], ...]] = []
    started = (np.arange(STEPS) >= WARM_UP).astype(np.float32)
    sound: list[_Source] = [
        (Case(p.inputs, p.rate_bpm, p.rate_bpm, np.zeros(len(p.worn), np.bool_)), p.worn, STRIDE, 1.0) for p in people
    ]
    spoilt: list[_Source] = [(case, np.asarray(case.inputs.any(axis=1)), SPOILT_STRIDE, 0.0) for case in cases]
    for case, worn, stride, expects in [*sound, *spoilt]:
        target = denoise.targets(case.measured, case.true)
        for first in range(0, len(worn) - STEPS, stride):
            here = slice(first, first + STEPS)
            if not worn[first : first + STEPS + 1].all():
                continue
            known = ~np.isnan(case.true[here])
            rows.append(
                (
                    case.inputs[here],
                    case.inputs[first + 1 : first + STEPS + 1, list(CHANNELS)],
                    started * np.float32(expects),
                    target[here],
                    (started * (known & known[0])).astype(np.float32),
                )
            )
    inputs, expectation, expectation_weight, rate, rate_weight = (np.stack(column) for column in zip(*rows, strict=True))
    return network.Chunks(
        inputs, {"expectation": expectation, "gain": rate}, {"expectation": expectation_weight, "gain": rate_weight}
    )


def calibrated(draft: bytes, network_: Network, people: list[Sequence]) -> bytes:
    """The streaming file with the metadata that `zenmoon_edge.core.strain` reads; the people's own surprises give the levels."""
    found = conversion.outputs(draft, network_, people[0].inputs[:60])
    # Any rising levels will do to measure the evidence from which the real ones come.
    rising = np.tile(np.arange(LEVELS, dtype=np.float64), (surprise.KINDS + 1, 1))
    loose = conversion.attach(draft, METADATA, _metadata(found, rising))
    rows = np.concatenate([anomalies.evidence(loose, person)[anomalies.SETTLED :] for person in people])
    shares = np.append(1 - 2.0 ** (-np.arange(LEVELS - 1) / 2), 1.0)
    levels = np.quantile(rows[:, : surprise.KINDS], shares, axis=0).T.astype(np.float32).astype(np.float64)
    kinds = [tuple(row) for row in levels.tolist()]
    strongest = [max(surprise.level(kinds[i], row[i]) for i in range(surprise.KINDS)) for row in rows.tolist()]
    return conversion.attach(draft, METADATA, _metadata(found, np.vstack([levels, np.quantile(strongest, shares)])))


def _metadata(found: dict[str, int], levels: NDArray[np.float64]) -> bytes:
    outputs = (found["strain"], found["expectation"])
    head = struct.pack(HEAD, 2, INPUTS, *outputs, *CHANNELS, READY_STEPS, LEVELS, SMOOTHING_GAIN, found["gain"])
    return head + levels.astype("<f4").tobytes()


def _file(tensorflow: Any, tf_keras: Any, one: Network, inputs: NDArray[np.float32], data: Data) -> bytes:
    return calibrated(conversion.convert(tensorflow, tf_keras, one, inputs), one, data.training)


def _with_strain(one: Network, weights: dict[str, NDArray[np.float32]]) -> Network:
    return Network(one.features, (strain_head.HEAD, *one.heads), {**one.weights, **weights})


def _read(folder: Path, seed: int) -> Data:
    people = stress_predict.people(folder)
    if len(people) <= HELD_OUT:
        raise ModelsError("data", f"{folder} holds {len(people)} labelled people; more than {HELD_OUT} are needed")
    kept, apart = split(people, HELD_OUT, seed)
    raw = {}
    for i, person in enumerate(people, 1):
        print(f"reading {person.name} ({i} of {len(people)})", flush=True)
        raw[person.name] = session(person)
    training, held_out = ([raw[person.name] for person in side] for side in (kept, apart))
    return Data(
        [sequence(one) for one in training],
        [sequence(one) for one in held_out],
        [_case(one, np.random.default_rng([seed, i, time])) for i, one in enumerate(training) for time in range(SPOILT_TIMES)],
        [_simulated(child, np.random.default_rng([seed, 2000 + child])) for child in SIMULATED_TRAINING],
        [_case(one, np.random.default_rng([seed, 1000 + i])) for i, one in enumerate(held_out)],
        [_simulated(child, np.random.default_rng([seed, 2000 + child])) for child in SIMULATED],
        [anomalies.trial(one, seed + i) for i, one in enumerate(held_out)],
    )


def _case(raw: Session, random: np.random.Generator) -> Case:
    seconds, spoilt = faults.unpulsed(raw.seconds, random)
    damaged = sequence(raw, seconds)
    return Case(damaged.inputs, damaged.rate_bpm, sequence(raw).rate_bpm, windows(spoilt))


def _simulated(child: int, random: np.random.Generator) -> Case:
    """An hour of a simulated child: what its sensor says is an average of ten seconds, what is true is its heart."""
    from zenmoon_edge.simulator import Child, Life, write_recording  # noqa: PLC0415 - an extra that reading a card does not need

    body = Child(seed=child)
    with tempfile.TemporaryDirectory() as folder:
        recording = Recording.open(write_recording(body, SIMULATED_BEGIN, SIMULATED_S, folder))
        raw = Session(f"simulated {child}", list(recording.seconds()), 0.0, {})
    true = Life(body).drive(int(SIMULATED_BEGIN.timestamp()), SIMULATED_S).heart_rate_bpm
    case = _case(raw, random)
    whole = len(case.measured)
    return case._replace(true=true[: whole * WINDOW_S].reshape(whole, WINDOW_S).mean(axis=1))
