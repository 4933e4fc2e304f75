"""TensorFlow Lite Micro, in a process of its own: it ends the process on what it does not accept.

Run as a script it reads pickled (model file, input of all calls as int8 or float32 [calls, values]) pairs, one after the other,
from standard input and answers each with the outputs of all calls side by side, [calls, values], or with the failure's text.
"""

import pickle
import struct
import subprocess
import sys

import numpy as np

ARENA_BYTES = 400_000


def tflm(models: list[tuple[bytes, np.ndarray]]) -> list[np.ndarray | str]:
    """Outputs of all calls of each model after one reset; a text where TFLM refused the file or ended the process."""
    results: list[np.ndarray | str] = []
    while len(results) < len(models):
        asked = models[len(results) :]
        done = subprocess.run(
            [sys.executable, __file__],
            input=b"".join(_packed(pair) for pair in asked),
            capture_output=True,
            check=False,
            timeout=600,
        )
        at = 0
        while at < len(done.stdout):
            size = struct.unpack_from("<I", done.stdout, at)[0]
            results.append(pickle.loads(done.stdout[at + 4 : at + 4 + size]))
            at += 4 + size
        if done.returncode:
            results.append(f"ended by {done.returncode}: {done.stderr.decode(errors='replace').strip()[-300:]}")
    return results


def _packed(value: object) -> bytes:
    data = pickle.dumps(value)
    return struct.pack("<I", len(data)) + data


def _run(model: bytes, x: np.ndarray) -> np.ndarray:
    from tflite_micro import runtime
    from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

    interpreter = runtime.Interpreter.from_bytes(model, arena_size=ARENA_BYTES)
    shape = interpreter.get_input_details(0)["shape"]
    outputs = schema.Model.GetRootAsModel(model, 0).Subgraphs(0).OutputsLength()
    rows = []
    for call in x:
        interpreter.set_input(call.reshape(shape), 0)
        interpreter.invoke()
        rows.append(np.concatenate([interpreter.get_output(i).ravel() for i in range(outputs)]))
    return np.array(rows)


def main() -> None:
    """Answers every pair on standard input."""
    while head := sys.stdin.buffer.read(4):
        model, x = pickle.loads(sys.stdin.buffer.read(struct.unpack("<I", head)[0]))
        answer: np.ndarray | str
        try:
            answer = _run(model, x)
        except Exception as error:  # the wheel has no class of its own
            answer = f"{type(error).__name__}: {error}"
        sys.stdout.buffer.write(_packed(answer))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
