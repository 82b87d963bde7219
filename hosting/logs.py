"""The log of service and agent: one line on stderr for each event, whatever library reports it.

Lines contain foreign text: anybody may write names into a network configuration. Unprintable characters are
written as escapes, so that no name can forge a line or control a terminal.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import re
import sys
import time
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, Final, TextIO

import structlog
from structlog.processors import format_exc_info
from structlog.typing import Processor

from hosting.foreign_text import escape
from hosting.log_format import LogFormat

QUIET: Final = ("alembic", "asyncio", "httpcore", "httpx", "sqlalchemy", "uvicorn.access")
"""Libraries whose INFO lines interest only their own developers."""

_PLAIN: Final = re.compile(r"[!#-<>-~]+")

Event = MutableMapping[str, Any]


def configure(level: int, form: LogFormat) -> None:
    """Send events of structlog and of the standard library the same way, from `level` of `logging` up."""
    rendering: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        as_text if form is LogFormat.TEXT else as_json,
    ]
    lines = Lines(sys.stderr)
    structlog.configure(
        processors=rendering,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


class Lines:
    """Writes all lines of one turn of the event loop at once; outside a loop each line as it comes.

    For a busy service one system call for each line would cost more than the rest of the log.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._waiting: list[str] = []
        atexit.register(self._write)

    def msg(self, line: str) -> None:
        """Write a line."""
        self._waiting.append(line)
        if len(self._waiting) == 1:
            try:
                asyncio.get_running_loop().call_soon(self._write)
            except RuntimeError:
                self._write()

    debug = info = warning = error = critical = exception = msg

    def _write(self) -> None:
        if self._waiting:
            self._waiting.append("")
            self._file.write("\n".join(self._waiting))
            self._file.flush()
            self._waiting.clear()


def now() -> str:
    """The time of a line: UTC, with microseconds."""
    seconds, micros = divmod(time.time_ns() // 1000, 1_000_000)
    return f"{_second(seconds)}.{micros:06}Z"


@lru_cache(maxsize=1)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def as_json(logger: Any, method: str, event: Event) -> str:
    """One object in ASCII."""
    format_exc_info(logger, method, event)
    text = json.dumps({"timestamp": now(), "level": _level(method), **event}, default=str)
    return text.replace("\x7f", "\\u007f")


def as_text(logger: Any, method: str, event: Event) -> str:
    """Time, level, what happened, then `key=value` pairs; a traceback follows, indented."""
    format_exc_info(logger, method, event)
    head = f"{now()} {_level(method):<7} {escape(str(event.pop('event')))}"
    traceback = event.pop("exception", "")
    pairs = "".join([f" {key}={_value(value)}" for key, value in event.items() if value is not None])
    return head + pairs + "".join([f"\n    {escape(line)}" for line in traceback.splitlines()])


def _level(method: str) -> str:
    return "error" if method == "exception" else method


def _value(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    if _PLAIN.fullmatch(text):
        return text
    return text if text.isprintable() and text and not set(text) & {" ", '"', "="} else f'"{_quoted(text)}"'


def _quoted(text: str) -> str:
    return escape(text.replace("\\", "\\\\").replace('"', '\\"'))
