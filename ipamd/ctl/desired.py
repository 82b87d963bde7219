"""The files of `ipamctl apply`: YAML or CSV, read with the line of each value, for errors.

Values have the types of JSON only. Everything but true, false, null and whole numbers is text: so no name and
no address turns into a date, a truth value or a number in base 60.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from ipamd.ctl.failure import CommandFailed, ExitCode
from ipamd.models import csv_table
from ipamd.models.limits import MOST_ENTRIES
from ipamd.models.nearest import unknown

STDIN: Final = "-"
LISTS: Final = ("pools", "reservations", "quotas")
CSV: Final = ".csv"
MOST_VALUES: Final = 2_000_000
"""A short file whose aliases hold aliases has values without end."""

DEEPEST: Final = 32
LONGEST_NUMBER: Final = 20
"""Digits of a number. A longer one is read as text, and refused as that."""

KEY_NO_TEXT: Final = "a field's name must be text"

_LOADER: Final = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_WHOLE: Final = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_WORDS: Final = {"": None, "~": None, "null": None, "true": True, "false": False}
_UNTAGGED: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


class DesiredFiles:
    """What several files say together, as `POST /v1/apply` takes it, and on which lines."""

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
            if file.lower().endswith(CSV):
                read._add_table(_text(file), name)
                continue
            for document in _documents(_text(file), name):
                read._add(document, name)
        if not read.lists:
            raise CommandFailed(
                f"the files hold none of the lists {_named()}: write at least one",
                ExitCode.USAGE,
            )
        return read

    def line_of(self, path: str) -> str | None:
        """The line of a field, `FILE:LINE`. If the field is missing, the line of what should hold it."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = re.sub(r"(\.[^.\[\]]*|\[[0-9]+\])$", "", path) if re.search(r"[.\[]", path) else ""
        return None

    def _add(self, document: yaml.Node, name: str) -> None:
        if not isinstance(document, yaml.MappingNode):
            raise _wrong(document, name, f"expected an object with the lists {_named()}")
        for key, value in document.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong(key, name, KEY_NO_TEXT)
            if key.value not in LISTS:
                raise _wrong(key, name, unknown("key", key.value, LISTS))
            if not isinstance(value, yaml.SequenceNode):
                raise _wrong(key, name, f"{key.value} must be a list; write [] for an empty one")
            entries = self.lists.setdefault(key.value, [])
            for entry in value.value:
                entries.append(self._value(entry, f"{key.value}[{len(entries)}]", name, ()))

    def _add_table(self, data: bytes, name: str) -> None:
        try:
            text = csv_table.decoded(data)
            kind = csv_table.kind_of(text)
            entries = self.lists.setdefault(kind.value, [])
            for row in csv_table.read(kind, text, MOST_ENTRIES):
                self._lines[f"{kind}[{len(entries)}]"] = f"{name}:{row.line}"
                entries.append(row.document)
        except csv_table.CsvError as error:
            raise CommandFailed(f"{name}:{error.line}: {error.why}", ExitCode.USAGE) from None

    def _value(self, node: yaml.Node, path: str, name: str, around: tuple[int, ...]) -> Any:
        self._lines.setdefault(path, _place(node, name))
        self._values += 1
        if id(node) in around or self._values > MOST_VALUES:
            raise _wrong(node, name, "this value has no end: an alias holds itself, or too many others")
        if node.tag not in _UNTAGGED:
            raise _wrong(node, name, f"tags are not allowed: remove {node.tag}")
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


def _named() -> str:
    """The lists, as a sentence names them."""
    return f"{', '.join(LISTS[:-1])} and {LISTS[-1]}"


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
    """Raise if values are nested too deeply: the composer in C would crash the process."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise CommandFailed(f"{name}: nested too deeply: {DEEPEST} levels are allowed", ExitCode.USAGE)


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
