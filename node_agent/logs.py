"""The agent's log: one line for each thing that happened, on stderr."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from typing import Any


class LogFormat(StrEnum):
    """`text` for people, `json` for programs: one object a line."""

    TEXT = "text"
    JSON = "json"


def configure(form: LogFormat) -> None:
    """Send structlog to stderr, and of the libraries what is a warning."""
    import structlog

    rendering: Any = (
        structlog.processors.JSONRenderer()
        if form is LogFormat.JSON
        else structlog.processors.LogfmtRenderer(
            key_order=["timestamp", "level", "event"], bool_as_flag=False
        )
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
