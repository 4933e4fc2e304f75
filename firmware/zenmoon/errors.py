# The one base exception of the firmware. Its text is for people: cause and next action.


# reason: one short word that a program can act on; each subclass lists its own.
class FirmwareError(Exception):
    def __init__(self, reason, message):
        super().__init__(message)
        self.reason = reason
