"""A whole address space as a picture, however large it is, and any prefix of it."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from itertools import groupby
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ipamd.engine.catalogue import Catalogue
from ipamd.engine.engine import Engine
from ipamd.models.address import IPNetwork, parse_address, parse_network
from ipamd.models.pool import DEFAULT_SPACE
from ipamd.web import cells, strips
from ipamd.web.asking import asked, engine, read, shared_sums
from ipamd.web.rendering import HEADERS, render
from ipamd.web.sums import SharedSums

FAMILIES: Final = (4, 6)


async def show_space(request: Request) -> Response:
    """All of a space, a picture for each family; or one prefix of it. What lies in one pool is there."""
    catalogue = await engine(request).refresh()
    given = asked(request, "space", "at")
    spaces = list(catalogue.pools_by_space)
    space = given.get("space") or (spaces[0] if spaces and DEFAULT_SPACE not in spaces else DEFAULT_SPACE)
    part = _prefix(given["at"]) if "at" in given else None
    inside = catalogue.pool_with(part[0], space) if part is not None else None
    if part is not None and inside is not None and part[-1] in inside.subnet:
        where = f"/ui/pools/{inside.name}/map?at={part}"
        return RedirectResponse(where, status_code=303, headers=HEADERS)
    known_sums = shared_sums(request)
    shown, as_of = [], None
    for family in FAMILIES if part is None else (part.version,):
        row, usable = await known_sums.row(catalogue, space, family)
        at = row.whole if part is None else _picture_of(part)
        if at is not None:
            taken, as_of = await known_sums.taken(engine(request), row)
            in_parts = await _in_parts(engine(request), known_sums, catalogue, row, at)
            shown.append(strips.strip(row, at, usable, taken, in_parts))
    return render(request, "space.html", space=space, spaces=spaces, strips=shown, given=given, as_of=as_of)


def _prefix(text: str) -> IPNetwork:
    """A prefix, or an address as a prefix of nothing else."""
    return read(parse_network, text) if "/" in text else ip_network(read(parse_address, text))


def _picture_of(part: IPNetwork) -> IPNetwork:
    """A prefix itself, or the one around it that is large enough for a picture."""
    return part.supernet(new_prefix=min(part.prefixlen, part.max_prefixlen - cells.CELL_BITS))


async def _in_parts(
    known: Engine, known_sums: SharedSums, catalogue: Catalogue, row: strips.PoolOrder, at: IPNetwork
) -> Mapping[cells.CellPrefix, tuple[int, int]]:
    """What is usable and taken in the cells that are parts of one pool: one reading for each such pool."""
    found = {}
    parted = (place for place in row.places(at) if place.around is not None)
    for pool, places in groupby(parted, key=lambda place: place.around):
        assert pool is not None
        here = list(places)
        usable = catalogue.mask(pool).usable
        taken, _ = await known_sums.taken_in(known, pool, [place.bounds for place in here])
        for place, count in zip(here, taken, strict=True):
            found[place.prefix] = usable.count_between(*cells.numbers_in(place.bounds, pool)), count
    return found


ROUTES: Final = [Route("/ui/map", show_space)]
