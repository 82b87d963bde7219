"""The format of the log. It has a module of its own because command lines name it before logging starts."""

from enum import StrEnum


class LogFormat(StrEnum):
    """`text` for people, `json` for programs: one object a line."""

    TEXT = "text"
    JSON = "json"
