# Reads and validates SETTINGS.json. Every error names the file, the field, the cause and the next action.

import json

from zenmoon.errors import FirmwareError
from zenmoon_edge.core.clock import Clock

_NO_DEFAULT = object()


# reason: "missing_file", "not_json", "missing", "unknown" or "bad_value"; field: name of the field or None.
class SettingsError(FirmwareError):
    def __init__(self, reason, field, message):
        super().__init__(reason, message)
        self.field = field


# Attributes are the fields of SETTINGS.json; `device`, `firmware_id` and `model_id` are integers, `key` is 32 bytes.
# There is no repr on purpose: the key must never reach a log.
class Settings:
    def __init__(self, values):
        for name in values:
            setattr(self, name, values[name])


def _hexadecimal(digits):
    def parse(value):
        if not isinstance(value, str) or len(value) != digits:
            raise ValueError("must be %d hexadecimal digits" % digits)
        for character in value:
            if character not in "0123456789abcdef":
                raise ValueError("must be %d lower-case hexadecimal digits" % digits)
        return value

    return parse


def _number(digits):
    parse = _hexadecimal(digits)
    return lambda value: int(parse(value), 16)


def _key(value):
    text = _hexadecimal(64)(value)
    return bytes([int(text[i : i + 2], 16) for i in range(0, 64, 2)])


def _integer(lowest, highest):
    def parse(value):
        # bool is an int in Python, and no number here.
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise ValueError("must be an integer from %d to %d" % (lowest, highest))
        return value

    return parse


# GATT allows 248 bytes; 20 is what a central without a larger MTU can read at once.
def _name(value):
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= 20:
        raise ValueError("must be a text of 1 to 20 bytes")
    return value


def _path(value):
    if not isinstance(value, str) or not value:
        raise ValueError("must be the path of a file or folder")
    return value


def _boolean(value):
    if value is not True and value is not False:
        raise ValueError("must be true or false")
    return value


def _clock(value):
    if not isinstance(value, str):
        raise ValueError("must be a text utc_ms:monotonic_us:rate")
    return Clock.parse(value)


# Each field's parser and default.
FIELDS = {
    "device": (_number(16), _NO_DEFAULT),
    "key": (_key, _NO_DEFAULT),
    "key_id": (_integer(0, 255), _NO_DEFAULT),
    "name": (_name, "ZenMoon"),
    "journal": (_path, _NO_DEFAULT),
    "journal_pages": (_integer(4, 65536), 256),
    "replay": (_path, _NO_DEFAULT),
    "loop": (_boolean, False),
    "clock": (_clock, None),
    "ledger": (_path, None),
    "model": (_path, _NO_DEFAULT),
    "firmware_id": (_number(8), _NO_DEFAULT),
    "model_id": (_number(8), _NO_DEFAULT),
}


# The validated settings of the file at `path`. Raises SettingsError.
def load(path):
    try:
        with open(path) as file:
            text = file.read()
    except OSError as error:
        raise SettingsError(
            "missing_file", None, "%s: cannot be read (%s). Next: give the path of a settings file" % (path, error)
        ) from error
    except ValueError as error:
        raise SettingsError("not_json", None, "%s: is not text (%s). Next: write the file again" % (path, error)) from error
    try:
        document = json.loads(text)
    except ValueError as error:
        raise SettingsError(
            "not_json", None, "%s: is not JSON (%s). Next: write the file again, it may be cut off" % (path, error)
        ) from error
    if not isinstance(document, dict):
        raise SettingsError("not_json", None, '%s: is not a JSON object. Next: write {"device": …, …}' % path)
    return Settings(_validate(path, document))


def _validate(path, document):
    for name in document:
        if name not in FIELDS:
            raise SettingsError(
                "unknown",
                name,
                '%s: field "%s" is unknown. Next: remove it, or correct it to one of %s' % (path, name, ", ".join(sorted(FIELDS))),
            )
    values = {}
    for name, (parse, default) in FIELDS.items():
        if name not in document:
            if default is _NO_DEFAULT:
                raise SettingsError("missing", name, '%s: field "%s" is missing. Next: add it' % (path, name))
            values[name] = default
            continue
        try:
            values[name] = parse(document[name])
        except ValueError as error:
            raise SettingsError("bad_value", name, '%s: field "%s" %s. Next: correct it' % (path, name, error)) from error
    return values
