"""How events are written: one line each, `time level logger message key=value ...`."""

import json
import logging
import sys
import time

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"}
"""What every record has, and Celery's `data`, which repeats its message."""


class EventFormatter(logging.Formatter):
    """A past-tense message and the fields given in `extra`."""

    def __init__(self) -> None:
        """UTC, to the millisecond."""
        self.converter = time.gmtime
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line with its fields."""
        fields = (f"{key}={_shown(value)}" for key, value in vars(record).items() if key not in _STANDARD)
        return " ".join([super().formatMessage(record), *fields])


def _shown(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if text == "" or any(c in text for c in ' "=\n') else text


def configure(level: str) -> None:
    """Send this process's log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx", "celery.worker.strategy", "celery.app.trace", "darkroom.connections"):
        # A line for each poll, two for each ring, three for each socket; what matters our own events say.
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # A warning for each broken form, of which whoever sends it is told.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
