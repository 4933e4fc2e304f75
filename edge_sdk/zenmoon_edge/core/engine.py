"""What runs a model: every engine gives the same integers and keeps the same state contract."""


class Engine:
    """One model at work. Its state carries over from step to step until `reset`.

    Attributes:
        name: `native`, `microlite`, `openmv` or `portable`.
    """

    name = ""

    def reset(self) -> None:
        """Forgets everything: the state after loading."""
        raise NotImplementedError

    def step(self, x: "list[int]") -> "list[int]":
        """One call: int8 values in, int8 values of all outputs side by side."""
        raise NotImplementedError

    def run(self, x: bytes, inputs: int) -> bytes:
        """Many calls in a row, without a reset: int8 [calls, inputs] in, int8 [calls, outputs] out."""
        result = bytearray()
        for at in range(0, len(x), inputs):
            step = [q - 256 if q > 127 else q for q in bytes(x[at : at + inputs])]
            result += bytes([q & 255 for q in self.step(step)])
        return bytes(result)
