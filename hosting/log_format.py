"""What a line of the log looks like; apart from the log, for a command line names it before anything logs."""

from enum import StrEnum


class LogFormat(StrEnum):
    """`text` for people, `json` for programs: one object a line."""

    TEXT = "text"
    JSON = "json"
