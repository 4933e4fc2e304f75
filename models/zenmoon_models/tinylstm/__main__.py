"""`python -m zenmoon_models.tinylstm train [NAME …] --shared DIR`: from data to the files that ship, with their cards."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

import zenmoon_edge.models
from zenmoon_edge.core.errors import EdgeError

from zenmoon_models.errors import ModelsError
from zenmoon_models.tinylstm import MODELS

SEED = 2026


def main() -> int:
    """Exit status: 0 written, 2 refused with the cause and the next action."""
    parser = argparse.ArgumentParser(prog="python -m zenmoon_models.tinylstm", description="Trains the models that ship.")
    command = parser.add_subparsers(dest="command", required=True).add_parser("train", help="train and write the files")
    # No `choices`: argparse holds the empty list of `nargs="*"` against them.
    command.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MODELS)}; default all")
    command.add_argument("--shared", type=Path, required=True, help="the folder that holds the data sets' folders")
    command.add_argument("--out", type=Path, default=Path(zenmoon_edge.models.__file__).parent)
    command.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    unknown = sorted({*options.names} - {*MODELS})
    if unknown:
        parser.error(f"there is no model {', '.join(unknown)}: choose of {', '.join(MODELS)}")
    try:
        for name in options.names or MODELS:
            model = import_module(f"zenmoon_models.tinylstm.{name}")
            print("wrote", model.train(options.shared, options.out, seed=options.seed), flush=True)
    except (ModelsError, EdgeError) as error:
        print(error.detail, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
