# Seals what the wearable sends. One instance a boot: it holds the counters, and none may be used twice under a key.

from zenmoon_edge.core.frame import seal


class Sealer:
    def __init__(self, key, key_id, boot):
        self._key = key
        self._key_id = key_id
        self._boot = boot
        self._counters = {}

    # The frame of a plaintext, with the next counter of its direction.
    def seal(self, direction, plaintext):
        counter = self._counters.get(direction, 0)
        self._counters[direction] = counter + 1
        return seal(self._key, self._key_id, direction, self._boot, counter, plaintext)
