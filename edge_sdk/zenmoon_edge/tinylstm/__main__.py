"""The command line: `commands.py`, and `build`, which a base installation without numpy can do too."""

import sys
from collections.abc import Sequence

from zenmoon_edge import native
from zenmoon_edge.core.errors import EdgeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 engines differ, 2 refused; the message names the cause and what to do."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments) == ["build"]:
        return _build()
    try:
        from zenmoon_edge.tinylstm import commands  # noqa: PLC0415 - numpy may be absent
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        print("numpy is not installed: run `pip install 'zenmoon-edge[tinylstm]'`", file=sys.stderr)
        return 2
    return commands.main(arguments)


def _build() -> int:
    try:
        print(native.build())
    except EdgeError as error:
        print(error.detail, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"the kernel cannot be built here: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
