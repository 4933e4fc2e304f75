"""A tensor of the file: shape, type, quantisation and, for constants, its data."""

import struct

from zenmoon_edge.core.errors import EdgeError
from zenmoon_edge.core.fixed_point import rational, real
from zenmoon_edge.core.flatbuffer import Table

INT32, INT16, INT8 = 2, 7, 9  # TensorType of schema.fbs
_WIDTH = {INT32: (4, "i"), INT16: (2, "h"), INT8: (1, "b")}
_MOST_AXES = 4
_MOST_VALUES = 65535  # an index fits 16 bits
_MOST_REAL = 1e30  # far beyond int8 with any scale that is allowed, and a float32 everywhere


class GraphError(EdgeError):
    """A graph that this runner does not run: `operator`, `type`, `shape`, `scale`, `schema`; `input`: a value is no number."""


class Tensor:
    """One tensor of the file. Constant data stay in the file's bytes until an operator reads them."""

    def __init__(self, table: Table, data: bytes) -> None:
        self.shape = table.vector(0, "i")
        self.type = table.scalar(1, "b")
        self.data = data
        quantisation = table.table(4)
        self.scales = quantisation.vector(2, "I") if quantisation else ()
        self.zero_points = quantisation.vector(3, "q") if quantisation else ()
        if len(self.shape) > _MOST_AXES:
            raise GraphError("shape", "a tensor with %d axes" % len(self.shape))
        self.size = 1
        for length in self.shape:
            self.size *= length
            if not 0 <= length <= _MOST_VALUES or self.size > _MOST_VALUES:
                raise GraphError("shape", "a tensor of shape %s" % (list(self.shape),))

    def require_int8(self) -> None:
        """Refuses anything but int8 with one scale and a zero point that fits."""
        if self.type != INT8:
            raise GraphError("type", "type %d where int8 is needed" % self.type)
        if len(self.scales) != 1 or not self.zero_points or not -128 <= self.zero_points[0] <= 127:
            raise GraphError("scale", "an int8 tensor needs one scale and one zero point")
        rational(self.scales[0])

    def scale(self) -> "tuple[int, int]":
        """The tensor's only scale."""
        if len(self.scales) != 1:
            raise GraphError("scale", "%d scales where one is needed" % len(self.scales))
        return rational(self.scales[0])

    def zero_point(self) -> int:
        """The tensor's first zero point; TFLM reads no other."""
        return self.zero_points[0] if self.zero_points else 0

    def values(self, kind: int) -> "tuple[int, ...]":
        """Constant values of type `kind`, exactly as many as the shape says."""
        width, code = _WIDTH[kind]
        if self.type != kind:
            raise GraphError("type", "type %d where %d is needed" % (self.type, kind))
        if len(self.data) != width * self.size:
            raise GraphError("shape", "%d bytes for shape %s" % (len(self.data), list(self.shape)))
        return struct.unpack("<%d%s" % (self.size, code), self.data)

    def rows(self) -> "list[tuple[int, ...]]":
        """An int8 weight matrix [outputs, inputs] as rows."""
        if len(self.shape) != 2 or not self.size:
            raise GraphError("shape", "weights of shape %s" % (list(self.shape),))
        if not self.zero_points or self.zero_points[0]:
            raise GraphError("scale", "weights with a zero point")
        values = self.values(INT8)
        columns = self.shape[1]
        return [values[i : i + columns] for i in range(0, len(values), columns)]

    def quantise(self, x: "list[float]") -> "list[int]":
        """Real numbers as int8, as TFLM does: value and quotient in single precision, half away from zero, clamped.

        Raises:
            GraphError: `input`: a value that is no number.
        """
        scale = real(self.scales[0])
        zero = self.zero_points[0]
        result = []
        for value in x:
            if not (value >= 0 or value < 0):  # NaN is neither
                raise GraphError("input", "a value that is no number")
            # The bound comes first: an infinite quotient has no integer, and a large one no single precision.
            q = abs(_single(max(-_MOST_REAL, min(_MOST_REAL, value))) / scale)
            q = 256.0 if q > 256.0 else _single(q)
            n = int(q)
            if q - n >= 0.5:  # exact in any precision; q + 0.5 would be rounded
                n += 1
            n = zero + (n if value > 0 else -n)
            result.append(-128 if n < -128 else 127 if n > 127 else n)
        return result

    def dequantise(self, values: "list[int]") -> "list[float]":
        """int8 as real numbers."""
        scale = real(self.scales[0])
        zero = self.zero_points[0]
        return [(q - zero) * scale for q in values]


class Operator:
    """An operator of the graph, prepared: int8 values in, int8 values out."""

    def __call__(self, x: "list[int]") -> "list[int]":
        """Runs it once."""
        raise NotImplementedError


def _single(value: float) -> float:
    """The nearest float32."""
    nearest: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return nearest
