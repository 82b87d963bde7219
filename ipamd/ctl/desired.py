"""Files that say which pools and reservations there shall be: YAML, with the line of each of its values.

Read as JSON's types and no others: what is not true, false, null or a whole number is text, so that no name
and no address turns into a date, a truth value or a number in base 60.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from ipamd.ctl.failure import CommandFailed, ExitCode
from ipamd.models.nearest import unknown

STDIN: Final = "-"
LISTS: Final = ("pools", "reservations")
MOST_VALUES: Final = 2_000_000
"""Aliases of aliases make a short file long without end."""

DEEPEST: Final = 32
LONGEST_NUMBER: Final = 20
"""Digits; what is longer is no number of ours, and is refused as a text."""

KEY_NO_TEXT: Final = "a field's name must be text"

_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_WHOLE: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_WORDS: Final = {"": None, "~": None, "null": None, "true": True, "false": False}
_UNTAGGED: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


class DesiredFiles:
    """What several files say together, as `POST /v1/apply` takes it, and where they say it."""

    def __init__(self) -> None:
        self.lists: dict[str, list[Any]] = {}
        self._lines: dict[str, str] = {}
        self._values = 0

    @classmethod
    def read(cls, files: list[str]) -> DesiredFiles:
        """Read files, `-` for stdin; raises CommandFailed with the line of what is wrong."""
        read = cls()
        for file in files:
            name = "stdin" if file == STDIN else file
            for document in _documents(_text(file), name):
                read._add(document, name)
        if not read.lists:
            raise CommandFailed(f"nothing is said of {' or '.join(LISTS)}", ExitCode.USAGE)
        return read

    def line_of(self, path: str) -> str | None:
        """Where a field stands, `FILE:LINE`; for one that is not there, what it would stand in."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = re.sub(r"(\.[^.\[\]]*|\[[0-9]+\])$", "", path) if re.search(r"[.\[]", path) else ""
        return None

    def _add(self, document: yaml.Node, name: str) -> None:
        if not isinstance(document, yaml.MappingNode):
            raise _wrong(document, name, f"expected {' and '.join(LISTS)}, each with a list")
        for key, value in document.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong(key, name, KEY_NO_TEXT)
            if key.value not in LISTS:
                raise _wrong(key, name, unknown("key", key.value, LISTS))
            if not isinstance(value, yaml.SequenceNode):
                raise _wrong(key, name, f"{key.value} must be a list; [] says that there are none")
            entries = self.lists.setdefault(key.value, [])
            for entry in value.value:
                entries.append(self._value(entry, f"{key.value}[{len(entries)}]", name, ()))

    def _value(self, node: yaml.Node, path: str, name: str, around: tuple[int, ...]) -> Any:
        self._lines.setdefault(path, _place(node, name))
        self._values += 1
        if id(node) in around or self._values > MOST_VALUES:
            raise _wrong(node, name, "this goes on without end")
        if node.tag not in _UNTAGGED:
            raise _wrong(node, name, f"a tag such as {node.tag} means nothing here")
        inside = (*around, id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self._value(each, f"{path}[{at}]", name, inside) for at, each in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return dict(self._pairs(node, path, name, inside))
        return _scalar(node) if isinstance(node, yaml.ScalarNode) else None

    def _pairs(
        self, node: yaml.MappingNode, path: str, name: str, inside: tuple[int, ...]
    ) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong(key, name, KEY_NO_TEXT)
            if key.value in seen:
                raise _wrong(key, name, f"{key.value} comes twice")
            seen.add(key.value)
            self._lines.setdefault(f"{path}.{key.value}", _place(key, name))
            yield key.value, self._value(value, f"{path}.{key.value}", name, inside)


def _text(file: str) -> bytes:
    if file == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise CommandFailed(f"cannot read {file}: {error.strerror}", ExitCode.USAGE) from None


def _documents(text: bytes, name: str) -> list[yaml.Node]:
    try:
        _refuse_depth(text, name)
        return [node for node in yaml.compose_all(text, Loader=_LOADER) if not _is_empty(node)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark is not None else name
        raise CommandFailed(f"{where}: not YAML: {error.problem or error.context}", ExitCode.USAGE) from None
    except (yaml.YAMLError, ValueError) as error:
        raise CommandFailed(f"{name}: not YAML: {' '.join(str(error).split())}", ExitCode.USAGE) from None


def _refuse_depth(text: bytes, name: str) -> None:
    """Raise where brackets are in brackets without end: the composer in C would end the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise CommandFailed(f"{name}: not YAML that can be meant: nested too deeply", ExitCode.USAGE)


def _is_empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and _scalar(node) is None


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    if node.style:  # it is quoted, or a block
        return text
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _WHOLE.fullmatch(text) and len(text) < LONGEST_NUMBER else text


def _place(node: yaml.Node, name: str) -> str:
    return f"{name}:{node.start_mark.line + 1}"


def _wrong(node: yaml.Node, name: str, why: str) -> CommandFailed:
    return CommandFailed(f"{_place(node, name)}: {why}", ExitCode.USAGE)
