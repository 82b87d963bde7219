"""The service's log: one line for each thing that happened, on stderr, whoever wrote it.

Lines hold names that came from whoever wrote a network configuration. None of them can forge a line or
steer the terminal of whoever reads it: what is not printable is written as its escape.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog
from structlog.typing import Processor

from ipamd.cli.settings import LogFormat, LogLevel

QUIET: Final = ("alembic", "asyncio", "httpx", "sqlalchemy", "uvicorn.access")
"""Loggers of libraries that say at INFO what only their own developers need."""


def configure(level: LogLevel, form: LogFormat) -> None:
    """Send structlog and the standard library's loggers the same way, from `level` up."""
    number: int = getattr(logging, level.name)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ending: list[Processor] = [
        structlog.processors.format_exc_info,
        as_text if form is LogFormat.TEXT else structlog.processors.JSONRenderer(ensure_ascii=True),
    ]
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    logging.basicConfig(level=number, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def as_text(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """Time, level, what happened, then `key=value` pairs; a traceback follows, indented."""
    head = f"{event.pop('timestamp')} {event.pop('level'):<7} {_escaped(str(event.pop('event')))}"
    traceback = event.pop("exception", "")
    pairs = "".join(f" {key}={_value(value)}" for key, value in event.items() if value is not None)
    return head + pairs + "".join(f"\n    {_escaped(line)}" for line in traceback.splitlines())


def _value(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and text and not set(text) & {" ", '"', "="} else f'"{_quoted(text)}"'


def _quoted(text: str) -> str:
    return _escaped(text.replace("\\", "\\\\").replace('"', '\\"'))


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
