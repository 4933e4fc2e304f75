"""The one base exception of zenmoon-models."""


class ModelsError(Exception):
    """Something that cannot be trained or scored.

    Attributes:
        reason: one short word a program can act on: `data` (a data folder is not what it should be),
            `extra` (a package is not installed), `conversion` (the converter gave another graph than expected).
        detail: the cause and the next action.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
