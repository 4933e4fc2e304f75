"""The one base exception of zenmoon-edge."""


class EdgeError(Exception):
    """Something zenmoon-edge refuses.

    Attributes:
        reason: One short word a program can act on; each subclass lists its own.
        detail: A sentence for people, may be empty.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason + ": " + detail if detail else reason)
        self.reason = reason
        self.detail = detail
