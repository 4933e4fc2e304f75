"""The native engine: `native/tinylstm.c`, as a MicroPython native module on a wearable and as a library under CPython.

The file stays where it is and is read in place; beside it the kernel needs one block of memory, which holds the state.
"""

from array import array

try:
    from collections.abc import Callable
except ImportError:  # MicroPython
    pass

from zenmoon_edge.core.engine import Engine
from zenmoon_edge.core.model_file import ModelError

try:
    import _tinylstm  # type: ignore[import-not-found]  # MicroPython: _tinylstm.mpy on the path

    def kernel() -> "Kernel | None":
        """The kernel's six functions, or None where there is no kernel."""
        module: "Kernel" = _tinylstm
        return module
except ImportError:
    try:
        import ctypes  # noqa: F401 - asked first: MicroPython could not even read the module below

        from zenmoon_edge.native import Kernel, kernel
    except ImportError:  # MicroPython without _tinylstm.mpy

        def kernel() -> "Kernel | None":
            """The kernel's six functions, or None where there is no kernel."""
            return None


# What tinylstm.h says, for people. The kernel itself has no room for sentences.
_REFUSALS = {
    -1: ("identifier", "not a .tflite file"),
    -2: ("truncated", "the file points outside itself"),
    -3: ("schema", "not one graph with one input whose operators follow their data"),
    -4: ("operator", "an operator, or a setting of one, that the kernel does not run"),
    -5: ("type", "a tensor that is neither int8 nor what its operator needs"),
    -6: ("shape", "shapes that do not fit each other"),
    -7: ("scale", "a scale or zero point that int8 arithmetic does not have"),
    -8: ("range", "weights and biases whose sums could leave 32 bits"),
    -9: ("memory", "the model needs more memory than there is"),
}


class Native(Engine):
    """One model at work in the kernel.

    Args:
        functions: the kernel's six functions.
        model: the bytes of the .tflite file; they are kept, not copied.

    Attributes:
        memory_bytes: what the model needs beside the file.

    Raises:
        ModelError: the kernel's refusal. Nothing of a refused file is run.
    """

    name = "native"

    def __init__(self, functions: "Kernel", model: bytes) -> None:
        self._functions = functions
        self._model = model
        refused = None
        try:
            self.memory_bytes: int = functions.size(model)
            self._memory = bytearray(self.memory_bytes)
            functions.load(model, self._memory)
        except ValueError as error:
            refused = error.args[0]
        if refused is not None:  # raised out here: MicroPython warns of every chained exception
            reason, detail = _REFUSALS.get(refused, ("schema", "refused with code %s" % refused))
            raise ModelError(reason, detail)
        self._x = array("b", bytes(functions.inputs(self._memory)))
        self._y = array("b", bytes(functions.outputs(self._memory)))
        self._call: "Callable[[], object]" = self._run
        if hasattr(functions, "bind"):  # under CPython
            self._call = functions.bind(model, self._memory, self._x, self._y)

    def _run(self) -> None:
        self._functions.run(self._model, self._memory, self._x, self._y)

    def reset(self) -> None:
        """Forgets everything: the state after loading."""
        self._functions.reset(self._memory)

    def step(self, x: "list[int]") -> "list[int]":
        """One call: int8 values in, int8 values of all outputs side by side, in the file's order."""
        buffer = self._x
        for i, q in enumerate(x):
            buffer[i] = q
        self._call()
        return list(self._y)

    def run(self, x: bytes, inputs: int) -> bytes:
        """Many calls in a row, without a reset."""
        result = bytearray(len(x) // inputs * len(self._y))
        self._functions.run(self._model, self._memory, x, result)
        return bytes(result)
