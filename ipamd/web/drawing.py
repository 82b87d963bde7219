"""The cells of a picture as HTML: a template would take ten times as long to go through 256 of them.

All that is written here is prefixes, numbers and words of our own: nothing of it is anybody's text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from markupsafe import Markup

from ipamd.models.address import text_of
from ipamd.models.pool import DEFAULT_SPACE, Pool
from ipamd.web.bars import percent
from ipamd.web.cells import AddressCell, PrefixCell
from ipamd.web.strips import SpaceCell

ROW: Final = 16
"""Cells after which a row may begin: the styles put one or two such portions into a row."""


def addresses(cells: Sequence[AddressCell], pool: Pool) -> Markup:
    """Each address, or prefix of a pool of them, as a link to who has it."""
    space = _of_space(pool)
    length = "" if pool.prefix_length is None else f"/{pool.prefix_length}"
    lines, starts = [], []
    for cell in cells:
        text, state = text_of(cell.address), cell.state
        starts.append(text)
        lines.append(
            f'<a id="a-{text}" class="cell c-{state}" href="/ui/addresses/{text}{space}" '
            f'title="{text}{length}: {state}" aria-label="{text}{length}, {state}">{cell.label}</a>'
        )
    return _in_rows(starts, lines) if length else _joined(lines)


def prefixes(cells: Sequence[PrefixCell], pool: Pool) -> Markup:
    """Each part as a link to its own picture."""
    way = f"/ui/pools/{quote(pool.name, safe='')}/map?at="
    return _in_rows([cell.prefix.start for cell in cells], [_part(cell, way) for cell in cells])


def _of_space(pool: Pool) -> str:
    return "" if pool.space == DEFAULT_SPACE else f"?space={quote(pool.space, safe='')}"


def parts_of_space(cells: Sequence[SpaceCell], space: str) -> Markup:
    """Each part as a link to its own picture: in its pool if it has one, else in the space."""
    way = f"/ui/map?space={quote(space, safe='')}&amp;at="
    return _in_rows([cell.prefix.start for cell in cells], [_part_of_space(cell, way) for cell in cells])


def _part_of_space(cell: SpaceCell, way: str) -> str:
    if not cell.pool_count:
        return f'<span class="cell void" title="{cell.prefix}: no pool"></span>'
    if cell.pool is None:
        return _part(cell, way, f", {cell.pool_count} pools")
    name, subnet = cell.pool.name, cell.pool.subnet
    smaller = None if cell.prefix.length > subnet.prefixlen else str(subnet)
    return _part(cell, f"/ui/pools/{quote(name, safe='')}/map?at=", f", pool {name}", smaller)


def _part(cell: PrefixCell, way: str, also: str = "", picture: str | None = None) -> str:
    """A cell with its number, and the way to its picture, or to another that has it.

    `also` is said besides: words of ours, and names of pools, which are plain.
    """
    start = cell.prefix.start
    text = f"{start}/{cell.prefix.length}"
    says = percent(cell.taken, cell.usable).replace("<", "&lt;") if cell.usable else "0"
    none = "" if cell.usable else " none"
    shown = "\u2013" if none else says if cell.taken else "·"
    return (
        f'<a id="a-{start}" class="cell h-{cell.level}{none}" href="{way}{picture or text}" '
        f'title="{text}: {cell.taken} of {cell.usable} taken{also}" '
        f'aria-label="{text}, {says} percent taken{also}">{shown}</a>'
    )


def _in_rows(starts: Sequence[str], drawn: Sequence[str]) -> Markup:
    """The cells, each row of them after the address with which it begins."""
    lines: list[str] = []
    for begin in range(0, len(drawn), ROW):
        odd = " odd" if begin // ROW % 2 else ""
        lines.append(f'<span class="begins{odd}" aria-hidden="true">{starts[begin]}</span>')
        lines += drawn[begin : begin + ROW]
    return _joined(lines)


def _joined(lines: Sequence[str]) -> Markup:
    return Markup("\n".join(lines))  # noqa: S704  # nobody's text: see above
