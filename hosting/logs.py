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
from collections.abc import Mapping, MutableMapping
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
_PLAIN_LETTERS: Final = bytes(code for code in range(128) if _PLAIN.fullmatch(chr(code)))

Event = MutableMapping[str, Any]


def configure(level: int, form: LogFormat) -> None:
    """Send events of structlog and of the standard library the same way, from `level` of `logging` up."""
    rendering: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        as_text if form is LogFormat.TEXT else as_json,
    ]
    lines = Lines(sys.stderr)
    frequent.configure(lines if level <= logging.INFO else None, form)
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
    return _json_line(_level(method), event)


def as_text(logger: Any, method: str, event: Event) -> str:
    """Time, level, what happened, then `key=value` pairs; a traceback follows, indented."""
    format_exc_info(logger, method, event)
    name, traceback = str(event.pop("event")), event.pop("exception", "")
    line = _text_line(_level(method), name, event)
    return line + "".join([f"\n    {escape(each)}" for each in traceback.splitlines()])


class FrequentEvents:
    """Events of level INFO that come with every call: structlog's lines without its chain of copies.

    No context is merged into them.
    """

    def __init__(self) -> None:
        self._lines: Lines | None = None
        self._form = LogFormat.TEXT

    def configure(self, lines: Lines | None, form: LogFormat) -> None:
        """Write lines of a form from now on; none to None."""
        self._lines = lines
        self._form = form

    def info(self, name: str, pairs: Mapping[str, Any]) -> None:
        """Log an event."""
        if self._lines is None:
            return
        if self._form is LogFormat.TEXT:
            self._lines.msg(_text_line("info", name, pairs))
        else:
            self._lines.msg(_json_line("info", {**pairs, "event": name}))


frequent: Final = FrequentEvents()


def _json_line(level: str, event: Mapping[str, Any]) -> str:
    text = _JSON.encode({"timestamp": now(), "level": level, **event})
    return text.replace("\x7f", "\\u007f")


_JSON: Final = json.JSONEncoder(default=str)


def _text_line(level: str, name: str, pairs: Mapping[str, Any]) -> str:
    return f"{now()} {level:<7} {escape(name)}{_text_of(pairs)}"


def _text_of(pairs: Mapping[str, Any]) -> str:
    text = _pattern(tuple(pairs)) % tuple(pairs.values())
    if _is_plain(text, len(pairs)):
        return text
    return "".join([f" {key}={_value(value)}" for key, value in pairs.items() if value is not None])


@lru_cache(maxsize=1024)
def _pattern(keys: tuple[str, ...]) -> str:
    """A line's pairs as a format. There are as many as there are statements that log."""
    return "".join([f" {key.replace('%', '%%')}=%s" for key in keys])


def _is_plain(text: str, pairs: int) -> bool:
    """Whether no value needs quotes or is empty or None: what is not plain is a blank and a sign a pair."""
    return (
        text.isascii()
        and "None" not in text
        and text.encode().translate(None, _PLAIN_LETTERS) == b" =" * pairs
        and "= " not in text
        and not text.endswith("=")
    )


def _level(method: str) -> str:
    return "error" if method == "exception" else method


def _value(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    if _PLAIN.fullmatch(text):
        return text
    return text if text.isprintable() and text and not set(text) & {" ", '"', "="} else f'"{_quoted(text)}"'


def _quoted(text: str) -> str:
    return escape(text.replace("\\", "\\\\").replace('"', '\\"'))
