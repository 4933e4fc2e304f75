"""int8 TinyLSTM files at a desk: run them on any engine, look into them, compare the engines, build the kernel.

`python -m zenmoon_edge.tinylstm` is the command line; a program uses `zenmoon_edge.core.tinylstm.TinyLSTM` itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zenmoon_edge.tinylstm.engines import ENGINES, EngineError, quantise
    from zenmoon_edge.tinylstm.inspection import inspect
    from zenmoon_edge.tinylstm.verification import verify

__all__ = ["ENGINES", "EngineError", "inspect", "quantise", "verify"]
_MODULES = {"inspect": "inspection", "verify": "verification"}


def __getattr__(name: str) -> Any:
    """Loaded when asked for: `build` works without numpy."""
    if name not in __all__:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'engines')}"), name)
