"""`python -m zenmoon_models.tinylstm train --data DIR`: from recordings to the file that ships, with its card."""

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import zenmoon_edge.models
from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.tinylstm import verify

from zenmoon_models.datasets import stress_predict
from zenmoon_models.errors import ModelsError
from zenmoon_models.tinylstm import conversion, network
from zenmoon_models.tinylstm.card import card, page
from zenmoon_models.tinylstm.evaluation import evaluate, stream
from zenmoon_models.tinylstm.sequences import read, split

SEED = 2026
HELD_OUT = 7


def train(data: Path, out: Path, *, seed: int = SEED, held_out: int = HELD_OUT) -> Path:
    """Trains, quantises, verifies and scores once; writes wearable.tflite, wearable.json and wearable.md.

    Raises:
        ModelsError: bad data, a missing package, or a conversion that is not the same on every engine.
    """
    tensorflow, tf_keras = network.keras(seed)
    people = stress_predict.people(data)
    if len(people) <= held_out:
        raise ModelsError("data", f"{data} holds {len(people)} labelled people; more than {held_out} are needed")
    kept, apart = split(people, held_out, seed)
    sequences = {}
    for i, person in enumerate(people, 1):
        print(f"reading {person.name} ({i} of {len(people)})", flush=True)
        sequences[person.name] = read(person)
    training = [sequences[person.name] for person in kept]
    unseen = [sequences[person.name] for person in apart]

    chunks = network.chunks(training)
    print(f"training on {len(training)} people, {len(chunks.inputs)} chunks of {network.STEPS} steps", flush=True)
    trained = network.train(tf_keras, chunks, seed)

    print("quantising", flush=True)
    streaming = conversion.stream(conversion.quantise(tensorflow, tf_keras, trained, chunks.inputs))
    # Any rising quantiles will do to measure the surprises from which the real ones come.
    draft = conversion.calibrate(streaming, np.linspace(0.0, 1.0, conversion.QUANTILES))
    steps = [stream(draft, sequence) for sequence in training]
    model = conversion.calibrate(streaming, np.concatenate([s.surprise[s.ready] for s in steps]))

    different, absent = verify(model)
    if any(different.values()) or "tflm" in absent:
        raise ModelsError("conversion", f"the engines do not agree (calls that differ: {different}; not here: {absent})")

    print("scoring the people held out", flush=True)
    figures = evaluate(model, trained, training, unseen, gain=conversion.SMOOTHING_GAIN, seed=seed)
    facts = card(
        model,
        training=[person.name for person in kept],
        held_out=[person.name for person in apart],
        figures=figures,
        settings={
            "seed": seed,
            "units": network.UNITS,
            "chunk_steps": network.STEPS,
            "epochs": network.EPOCHS,
            "batch": network.BATCH,
            "learning_rate": network.LEARNING_RATE,
            "smoothing_s": 40,
            "tensorflow": version("tensorflow"),
        },
        data=stress_predict.digest(data),
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / "wearable.tflite").write_bytes(model)
    (out / "wearable.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", "utf-8")
    (out / "wearable.md").write_text(page(facts), "utf-8")
    return out / "wearable.tflite"


def main() -> int:
    """Exit status: 0 written, 2 refused with the cause and the next action."""
    parser = argparse.ArgumentParser(prog="python -m zenmoon_models.tinylstm", description="Trains the wearable's model.")
    command = parser.add_subparsers(dest="command", required=True).add_parser("train", help="train once and write the files")
    command.add_argument("--data", type=Path, required=True, help="folder of the Stress-Predict data set")
    command.add_argument("--out", type=Path, default=Path(zenmoon_edge.models.__file__).parent)
    command.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    try:
        print("wrote", train(options.data, options.out, seed=options.seed))
    except (ModelsError, EdgeError) as error:
        print(error.detail, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
