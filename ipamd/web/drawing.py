"""The cells of a picture as HTML: a template would take ten times as long to go through 256 of them.

All that is written here is prefixes, numbers and words of our own: nothing of it is anybody's text.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from markupsafe import Markup

from ipamd.models.address import text_of
from ipamd.models.pool import DEFAULT_SPACE, Pool
from ipamd.web.cells import AddressCell, PrefixCell


def addresses(cells: Sequence[AddressCell], pool: Pool) -> Markup:
    """Each address as a link to who has it."""
    space = "" if pool.space == DEFAULT_SPACE else f"?space={quote(pool.space, safe='')}"
    lines = []
    for cell in cells:
        text, state = text_of(cell.address), cell.state
        lines.append(
            f'<a id="a-{text}" class="cell c-{state}" href="/ui/addresses/{text}{space}" '
            f'title="{text}: {state}" aria-label="{text}, {state}">{cell.label}</a>'
        )
    return Markup("\n".join(lines))  # noqa: S704  # nobody's text: see above


def prefixes(cells: Sequence[PrefixCell], pool: Pool) -> Markup:
    """Each part as a link to its own picture."""
    way = f"/ui/pools/{quote(pool.name, safe='')}/map?at="
    lines = []
    for cell in cells:
        text, percent = str(cell.prefix), cell.percent
        none = "" if cell.usable else " none"
        says = "\u2013" if none else str(percent) if cell.taken else "·"
        lines.append(
            f'<a id="a-{text.partition("/")[0]}" class="cell h-{cell.level}{none}" href="{way}{text}" '
            f'title="{text}: {cell.taken} of {cell.usable} taken" '
            f'aria-label="{text}, {percent} percent taken">{says}</a>'
        )
    return Markup("\n".join(lines))  # noqa: S704  # nobody's text: see above
