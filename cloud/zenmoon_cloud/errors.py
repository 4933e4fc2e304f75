"""The base of every error that the service raises on purpose."""


class CloudError(Exception):
    """A failure with its cause as data and the next action in its text.

    Attributes:
        reason: A short, stable word for programs, for example ``"already-running"``.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
