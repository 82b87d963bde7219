"""A whole address space as a picture, however large it is, and any prefix of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ipamd.engine.catalogue import Catalogue
from ipamd.engine.engine import Engine
from ipamd.models.address import IPNetwork, parse_address, parse_network
from ipamd.models.pool import DEFAULT_SPACE, Pool
from ipamd.web import cells, strips
from ipamd.web.asking import asked, engine, read
from ipamd.web.rendering import HEADERS, render
from ipamd.web.sums import taken_in

FAMILIES: Final = (4, 6)


async def show_space(request: Request) -> Response:
    """All of a space, a picture for each family; or one prefix of it. What lies in one pool is there."""
    catalogue = await engine(request).refresh()
    given = asked(request, "space", "at")
    spaces = sorted({pool.space for pool in catalogue.pools.values()})
    space = given.get("space") or (spaces[0] if spaces and DEFAULT_SPACE not in spaces else DEFAULT_SPACE)
    pools = {family: catalogue.pools_of(space, family) for family in FAMILIES}
    parts = [strips.smallest_around(there) for there in pools.values() if there]
    if "at" in given:
        part = _prefix(given["at"])
        inside = catalogue.pool_with(part[0], space)
        if inside is not None and part[-1] in inside.subnet:
            where = f"/ui/pools/{inside.name}/map?at={part}"
            return RedirectResponse(where, status_code=303, headers=HEADERS)
        parts = [_picture_of(part)]
    shown = [await _strip(engine(request), catalogue, pools[at.version], at) for at in parts]
    return render(request, "space.html", space=space, spaces=spaces, strips=shown, given=given)


def _prefix(text: str) -> IPNetwork:
    """A prefix, or an address as a prefix of nothing else."""
    return read(parse_network, text) if "/" in text else ip_network(read(parse_address, text))


def _picture_of(part: IPNetwork) -> IPNetwork:
    """A prefix itself, or the one around it that is large enough for a picture."""
    return part.supernet(new_prefix=min(part.prefixlen, part.max_prefixlen - cells.CELL_BITS))


async def _strip(known: Engine, catalogue: Catalogue, pools: Sequence[Pool], at: IPNetwork) -> strips.Strip:
    first, last = int(at[0]), int(at[-1])
    there = [pool for pool in pools if int(pool.subnet[0]) <= last and int(pool.subnet[-1]) >= first]
    placed = list(strips.places(there, at))
    taken = await _taken(known, placed, cells.prefixes_of(at))
    return strips.strip(at, strips.trail_within(at, pools), placed, _usable(catalogue, placed, at), taken)


async def _taken(
    known: Engine, placed: Sequence[tuple[Pool, range]], parts: Sequence[IPNetwork]
) -> Mapping[tuple[str, int], int]:
    """What is held in each cell of each pool: pools that lie in one cell are added up at once."""
    whole = {pool.name: cell[0] for pool, cell in placed if len(cell) == 1}
    allocated = await known.queries.allocated(list(whole))
    found = {(name, cell): allocated.get(name, 0) for name, cell in whole.items()}
    for pool, numbers in placed:
        if len(numbers) > 1:
            bounds = [(int(parts[number][0]), int(parts[number][-1])) for number in numbers]
            counts = await taken_in(known, pool, bounds)
            found |= {(pool.name, number): count for number, count in zip(numbers, counts, strict=True)}
    return found


def _usable(
    catalogue: Catalogue, placed: Sequence[tuple[Pool, range]], at: IPNetwork
) -> Mapping[tuple[str, int], int]:
    """How many addresses holders may have in each cell of each pool."""
    parts = cells.prefixes_of(at)
    found = {}
    for pool, numbers in placed:
        spans = catalogue.mask(pool).usable
        for number in numbers:
            first, last = int(parts[number][0]), int(parts[number][-1])
            found[pool.name, number] = sum(b - a + 1 for a, b in spans.between(first, last))
    return found


ROUTES: Final = [Route("/ui/map", show_space)]
