"""Damaged model files, and a child process that offers them to a kernel built with sanitizers.

python mutations.py LIBRARY SEED COUNT    (LD_PRELOAD the sanitizer's runtime; it ends the process on the first wrong access)
"""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zenmoon_edge.models
from random_models import random_model

# Counts, offsets, types, operator codes and floats at their limits.
_LIMITS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 22, 45, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_FLOATS = (0x3F800000, 0x4E800000, 0x2F800000, 0x7FC00000, 0x21800000, 0x5D800000)
CALLS = 2


def shipped() -> list[Path]:
    """The models in the package."""
    return sorted(Path(zenmoon_edge.models.__file__).parent.glob("*.tflite"))


def mutated(seed: int, count: int) -> Iterator[bytes]:
    """`count` files, each a small random or a shipped model with one to three changes, now and then cut off."""
    random = np.random.default_rng(seed)
    originals = [random_model(i, units=4, features=2).data for i in range(12)] + [path.read_bytes() for path in shipped()]
    for _ in range(count):
        data = bytearray(originals[random.integers(len(originals))])
        kind = random.integers(4)
        for _ in range(random.integers(1, 4)):
            at = int(random.integers(len(data) // 4)) * 4
            word = int.from_bytes(data[at : at + 4], "little")
            if kind == 0:
                data[random.integers(len(data))] = random.integers(256)
                continue
            if kind == 1:
                word = int(random.choice(_LIMITS + _FLOATS))
            elif kind == 2:
                word = word + int(random.integers(-8, 9)) & 0xFFFFFFFF
            else:
                other = int(random.integers(len(data) // 4)) * 4
                word = int.from_bytes(data[other : other + 4], "little")
            data[at : at + 4] = word.to_bytes(4, "little")
        if random.random() < 0.05:
            del data[random.integers(len(data)) :]
        yield bytes(data)


def main(library: str, seed: int, count: int) -> None:
    """Offers the files from blocks of exactly their size, so that one byte beyond is seen."""
    kernel, system = ctypes.CDLL(library), ctypes.CDLL(None)
    system.malloc.restype = ctypes.c_void_p
    accepted = 0
    for data in mutated(seed, count):
        model = ctypes.c_void_p(system.malloc(len(data) + 1))
        start = ctypes.c_void_p(model.value + 1)  # the last byte is the block's last; an odd address
        ctypes.memmove(start, data, len(data))
        size = kernel.tinylstm_size(start, len(data))
        memory = ctypes.c_void_p(system.malloc(max(size, 1)))
        if size >= 0 and kernel.tinylstm_load(start, len(data), memory, size) == 0:
            x = ctypes.c_void_p(system.malloc(CALLS * kernel.tinylstm_inputs(memory)))
            y = ctypes.c_void_p(system.malloc(CALLS * kernel.tinylstm_outputs(memory)))
            ctypes.memset(x, 0x85, CALLS * kernel.tinylstm_inputs(memory))
            kernel.tinylstm_run(start, memory, x, y, CALLS)
            accepted += 1
            system.free(x)
            system.free(y)
        system.free(memory)
        system.free(model)
    print(f"{count} files, {accepted} accepted")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
