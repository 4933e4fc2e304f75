"""Logs as one JSON object a line, on standard error."""

import json
import logging
import sys
from datetime import UTC, datetime

# Attributes that every log record has; what a call adds beyond them are the line's own fields.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonLines(logging.Formatter):
    """A line: time, level, logger, message, further fields, and an error's type and place but never its values."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of one record."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["trace"] = _places(record)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: str) -> None:
    """Send every logger of the process to standard error as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    handler.addFilter(_names_nobody)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _names_nobody(record: logging.LogRecord) -> bool:
    """Refuse uvicorn's line of a WebSocket: it holds the parent's address and a cursor, and a cursor names a wristband."""
    return not (record.name == "uvicorn.error" and "WebSocket" in record.getMessage())


def _places(record: logging.LogRecord) -> list[str]:
    """Return file and line of every frame. An exception's text stays out: PostgreSQL's repeats the row."""
    places: list[str] = []
    trace = record.exc_info[2] if record.exc_info else None
    while trace is not None:
        places.append(f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}")
        trace = trace.tb_next
    return places
