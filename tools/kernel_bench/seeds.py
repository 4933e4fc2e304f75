"""Small files for the fuzzer to begin with: every operator and border that the kernel knows, in as few bytes as may be."""

from __future__ import annotations

from kernel_bench.models import LOGISTIC, NONE, SOFTMAX, TANH, model


def small_models() -> list[bytes]:
    """Files of about 3 KB: units 4 and 5, one or two inputs, one or several steps, each activation, other cell scales."""
    heads = [((1, LOGISTIC),), ((2, SOFTMAX),), ((1, TANH),), ((1, NONE), (1, LOGISTIC))]
    files = [model(seed, inputs=1 + seed % 2, units=4, heads=head) for seed, head in enumerate(heads)]
    files.append(model(10, inputs=1, units=5, steps=3, heads=((1, TANH), (3, SOFTMAX))))
    files += [model(11 + steps, inputs=1, units=4, steps=steps, heads=((1, LOGISTIC),), borders=True) for steps in (1, 2)]
    # so large that the activations' fixed-point numbers have no place for it: refused, or constant
    files += [model(30, inputs=1, units=4, heads=((2, head),), head_scale=1e5) for head in (SOFTMAX, TANH)]
    files += [model(20 - exponent, inputs=1, units=4, heads=((1, NONE),), cell_exponent=exponent) for exponent in (-15, -9, 0)]
    return files
