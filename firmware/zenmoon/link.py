# The connection to one central: sealed frames out, in the order of their counters, at the pace the air takes them.

import asyncio
import errno

from zenmoon_edge.core.frame import TELEMETRY

try:
    from micropython import const
except ImportError:

    def const(value):
        return value


_SMALLEST_MTU = const(23)
_NOTIFY_HEAD = const(3)  # bytes of a notification that are not payload
# The stack has no event for "room again". Two connection intervals of 7.5 ms is when there can be any.
_RETRY_S = 0.015


# The connection that a frame was meant for is over.
class DisconnectedError(Exception):
    pass


class Link:
    def __init__(self, ble, sealer):
        self._ble = ble
        self._sealer = sealer
        self._lock = asyncio.Lock()
        self._connection = None
        # Rises with every connection: a stack may give a new central the handle of the last one.
        self.session = 0
        self.mtu = _SMALLEST_MTU

    @property
    def connected(self):
        return self._connection is not None

    # The next four are called from interrupts and only replace values.

    # False while another central is connected.
    def opened(self, connection):
        if self._connection is not None:
            return False
        self.mtu = _SMALLEST_MTU
        self.session += 1
        self._connection = connection
        return True

    # False when the connection that ended is not this one.
    def closed(self, connection):
        if connection != self._connection:
            return False
        self._connection = None
        return True

    def is_from(self, connection):
        return connection == self._connection

    def set_mtu(self, connection, mtu):
        if connection == self._connection:
            self.mtu = mtu

    # Forgets the connection when the radio is switched off.
    def reset(self):
        self._connection = None

    # Bytes of one notification.
    @property
    def payload(self):
        return self.mtu - _NOTIFY_HEAD

    # Seals the plaintext and notifies it; returns when the stack has taken it.
    #   1. No room in the stack (ENOMEM): waits and tries the same frame again. The lock is kept, because a receiver
    #      refuses a frame whose counter is below one that it has already seen.
    #   2. The connection `session` is over before the frame was taken: DisconnectedError. The counter stays used.
    #   3. Cancelled: the frame was not handed over, or was handed over whole.
    async def send(self, session, handle, plaintext):
        async with self._lock:
            if session != self.session or self._connection is None:
                raise DisconnectedError
            frame = self._sealer.seal(TELEMETRY, plaintext)
            while True:
                try:
                    self._ble.gatts_notify(self._connection, handle, frame)
                    return
                except OSError as error:
                    if error.errno != errno.ENOMEM:
                        raise DisconnectedError from error
                await asyncio.sleep(_RETRY_S)
                if session != self.session or self._connection is None:
                    raise DisconnectedError
