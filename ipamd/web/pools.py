"""Pools: all of them as bars, one of them, its addresses as a picture, and one address."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ipamd.engine.catalogue import Catalogue
from ipamd.engine.engine import Engine
from ipamd.engine.inspection.usage import Usage
from ipamd.models.address import IPAddress, IPNetwork, parse_address, parse_network
from ipamd.models.block import Block
from ipamd.models.errors import NotFound
from ipamd.models.instant import SECOND, Instant
from ipamd.models.pool import DEFAULT_SPACE, Pool
from ipamd.models.query import AllocationQuery
from ipamd.web import cells
from ipamd.web.asking import asked, engine, read, rest, shared_sums
from ipamd.web.bars import Piece, pieces, share_used
from ipamd.web.curves import curve
from ipamd.web.forms import POOL, shown
from ipamd.web.rendering import HEADERS, render
from ipamd.web.sums import is_large

PAGE: Final = 25
"""Pools on one page: each is a bar, out of sums."""

PORTION: Final = 100
"""Among so many pools those with enough room are looked for at once."""

MOST_GAPS: Final = 20


@dataclass(frozen=True, slots=True)
class Row:
    """A pool with its bar, and as of when it was counted if not now."""

    pool: Pool
    usage: Usage
    bar: Sequence[Piece]
    used: str
    as_of: Instant | None


async def overview(request: Request) -> Response:
    """All pools, a page at a time, by name."""
    catalogue = await engine(request).refresh()
    given = asked(request, "q", "space", "after")
    sought, space = given.get("q", "").lower(), given.get("space")
    matching = [
        pool for words, pool in catalogue.pools_by_name if sought in words and space in (None, pool.space)
    ]
    begin = bisect_right(matching, given.get("after", ""), key=lambda pool: pool.name)
    later = matching[begin : begin + PAGE + 1]
    rows = await _rows(request, later[:PAGE])
    return render(
        request,
        "overview.html",
        rows=rows,
        given=given,
        total=len(matching),
        more=later[PAGE - 1].name if len(later) > PAGE else None,
        as_of=_as_of(rows),
        spaces=list(catalogue.pools_by_space),
    )


async def _rows(request: Request, pools: Sequence[Pool]) -> list[Row]:
    known, large = engine(request), [pool for pool in pools if is_large(pool)]
    usages = await known.queries.usage_of([pool for pool in pools if pool not in large])
    shared = {pool.name: await shared_sums(request).counted(known, pool) for pool in large}
    rows = []
    for pool in pools:
        counted = shared.get(pool.name)
        usage = usages[pool.name] if counted is None else counted.usage
        as_of = None if counted is None else counted.at
        rows.append(Row(pool, usage, pieces(usage), share_used(usage), as_of))
    return rows


def _as_of(rows: Sequence[Row]) -> Instant | None:
    """As of when the oldest count of some pools is, None if all are counted now."""
    return min((row.as_of for row in rows if row.as_of is not None), default=None)


async def show_pool(request: Request) -> Response:
    """One pool: how full it is and will be, its rules, and its picture."""
    catalogue = await engine(request).refresh()
    pool = _pool(catalogue, request.path_params["name"])
    [row] = await _rows(request, [pool])
    known = engine(request)
    month = await curve(known, pool.name, row.usage)
    away = await known.queries.away(pool.name)
    return render(
        request,
        "pool.html",
        row=row,
        away=away.get(pool.name, 0),
        waiting=known.waiting.count_for(pool.name),
        rules=shown(POOL, await rest(request).get(f"/v1/pools/{pool.name}")),
        days=month.days,
        forecast=month.forecast,
        **await _picture(request, catalogue, pool, pool.subnet),
    )


async def show_map(request: Request) -> Response:
    """A part of a pool as a picture."""
    catalogue = await engine(request).refresh()
    pool = _pool(catalogue, request.path_params["name"])
    given = asked(request, "at", "address")
    if "address" in given:
        address = read(parse_address, given["address"])
        if address not in pool.subnet:
            raise NotFound(f"address in pool {pool.name} ({pool.subnet}) named", str(address))
        where = cells.around(address, pool)
        return RedirectResponse(
            f"/ui/pools/{pool.name}/map?at={where}#a-{address}", headers=HEADERS, status_code=303
        )
    at = _part(given.get("at"), pool)
    return render(request, "map.html", **await _picture(request, catalogue, pool, at))


def _part(text: str | None, pool: Pool) -> IPNetwork:
    """The part of a pool that is asked for: any prefix inside it that is no single address."""
    if text is None:
        return pool.subnet
    part = read(parse_network, text)
    if part.version != pool.family or not int(pool.subnet[0]) <= int(part[0]) <= int(part[-1]) <= int(
        pool.subnet[-1]
    ):
        raise NotFound(f"prefix in pool {pool.name} ({pool.subnet}) named", str(part))
    if part.prefixlen >= pool.given_length:
        return cells.around(part[0], pool)
    return part


async def _picture(request: Request, catalogue: Catalogue, pool: Pool, at: IPNetwork) -> Mapping[str, Any]:
    """The cells of a prefix, the gaps in it, and the way to it."""
    known = engine(request)
    mask = catalogue.mask(pool)
    trail = cells.trail(at, pool.subnet, pool.given_length)
    given: dict[str, Any] = {"at": at, "trail": trail, "pool": pool}
    first, last = cells.numbers_in((int(at[0]), int(at[-1])), pool)
    if last - first < 1 << cells.CELL_BITS:
        blocks = await known.queries.blocks(pool.name, first, last)
        kept = await _kept(known, catalogue, pool, blocks, at)
        cooled = known.clock.read().past(pool.cooldown * SECOND)
        addresses = cells.address_cells(at, mask, blocks, kept, cooled)
        found = cells.gaps(addresses, pool)
        return {**given, "addresses": addresses, "prefixes": [], "as_of": None, **_largest(found)}
    parts = cells.prefixes_of(at, pool.given_length)
    bounds = [(part.first, part.last) for part in parts]
    taken, as_of = await shared_sums(request).taken_in(known, pool, bounds)
    prefixes = cells.prefix_cells(at, mask, taken)
    free = _largest(cells.empty_stretches(prefixes, mask))
    return {**given, "addresses": [], "prefixes": prefixes, "as_of": as_of, **free}


async def _kept(
    known: Engine,
    catalogue: Catalogue,
    pool: Pool,
    blocks: Sequence[Block],
    at: IPNetwork | Sequence[IPAddress],
) -> Mapping[IPAddress, str]:
    """Which addresses of a picture nodes hold in advance, or holds. Nothing is read if there are none."""
    if not any(block.leased for block in blocks) and not catalogue.holds.of_pool(pool.name):
        return {}
    query = AllocationQuery(pool=pool.name, space=pool.space, between=(at[0], at[-1]))
    rows = await known.queries.allocations(query, None, 1 << cells.CELL_BITS)
    leased = {row.address: "leased" for row in rows if row.is_free_seat}
    return leased | {row.address: "held" for row in rows if row.is_left}


def _largest(found: Sequence[cells.Gap]) -> dict[str, Any]:
    """The largest gaps, in the order of their addresses, and how many there are."""
    chosen = sorted(found, key=lambda gap: -gap.size)[:MOST_GAPS]
    return {"gaps": sorted(chosen, key=lambda gap: int(gap.first)), "gap_count": len(found)}


async def show_address(request: Request) -> Response:
    """One address: its state, who has it, and who had it."""
    address = read(parse_address, request.path_params["address"])
    given = asked(request, "space", "cursor")
    space = given.get("space", DEFAULT_SPACE)
    catalogue = await engine(request).refresh()
    pool = catalogue.pool_with(address, space)
    history = await rest(request).get(
        "/v1/history",
        {"address": str(address), "space": space, "cursor": given.get("cursor"), "limit": 50},
    )
    state, reservation = "outside", None
    why: str | None = f"no pool of space {space} has it"
    if pool is not None:
        mask = catalogue.mask(pool)
        value = pool.number_of(address)
        blocks = await engine(request).queries.blocks(pool.name, value, value)
        kept = await _kept(engine(request), catalogue, pool, blocks, [address])
        cooled = engine(request).clock.read().past(pool.cooldown * SECOND)
        state = cells.state_of(value, mask, blocks, kept, cooled)
        why, reservation = mask.why_not(address), mask.reservation_of(address)
    live = [item for item in history["items"] if item["until"] is None]
    return render(
        request,
        "address.html",
        address=address,
        first=pool.address_of(pool.number_of(address)) if pool is not None else address,
        space=space,
        pool=pool,
        state=state,
        why=why,
        reservation=reservation,
        live=live,
        history=history,
        picture=cells.around(address, pool) if pool is not None else None,
        other_spaces=sorted(other.space for other in catalogue.pools_with(address) if other.space != space),
    )


async def show_tree(request: Request) -> Response:
    """Spaces, their pools, and the parts of one pool, opened in place."""
    catalogue = await engine(request).refresh()
    given = asked(request, "space", "free", "after", "open", "at")
    by_space = catalogue.pools_by_space
    opened = catalogue.pools.get(given.get("open", ""))
    usual = DEFAULT_SPACE if DEFAULT_SPACE in by_space else next(iter(by_space), None)
    space = given.get("space") or (opened.space if opened is not None else usual)
    ordered = by_space.get(space or "", ())
    begin = next((place + 1 for place, pool in enumerate(ordered) if pool.name == given.get("after")), 0)
    if opened in ordered and "after" not in given and "free" not in given:
        begin = ordered.index(opened) // PAGE * PAGE
    least = int(given["free"]) if re.fullmatch(r"[0-9]{1,39}", given.get("free", "")) else 0
    portion = ordered[begin : begin + (PORTION if least else PAGE)]
    fitting = [row for row in await _rows(request, portion) if row.usage.free >= least]
    rows = fitting[:PAGE]
    last = rows[-1].pool.name if len(fitting) > PAGE else portion[-1].name if portion else None
    picture = (
        await _picture(request, catalogue, opened, _part(given.get("at"), opened))
        if opened is not None
        else None
    )
    return render(
        request,
        "tree.html",
        spaces={name: len(pools) for name, pools in by_space.items()},
        space=space,
        rows=rows,
        given=given,
        opened=opened,
        picture=picture,
        more=last if ordered and last != ordered[-1].name else None,
        as_of=_as_of(rows),
    )


def _pool(catalogue: Catalogue, name: str) -> Pool:
    pool = catalogue.pools.get(name)
    if pool is None:
        raise NotFound("pool", name)
    return pool


ROUTES: Final = [
    Route("/", overview),
    Route("/ui/pools/{name}", show_pool),
    Route("/ui/pools/{name}/map", show_map),
    Route("/ui/addresses/{address}", show_address),
    Route("/ui/tree", show_tree),
]
