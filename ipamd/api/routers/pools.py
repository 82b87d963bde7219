"""Pools: create, read, change and delete them; how full they are; their routes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Response

from ipamd.api.paging import PageQuery, page, page_of_names
from ipamd.api.preconditions import IfMatch, entity_tag, expected_revision
from ipamd.api.problems import Problem
from ipamd.api.routers.access import CurrentCatalogue, Page, TheEngine
from ipamd.api.schemas.pool import (
    NewPool,
    PoolPatch,
    RouteDocument,
    ShownPool,
    ShownRoute,
    document_of,
    shown_route,
)
from ipamd.api.schemas.sample import (
    ForecastQuery,
    SampleFilter,
    ShownForecast,
    ShownSample,
    forecast_document,
    sample_document,
)
from ipamd.api.schemas.text import Address, Document, Prefix, Word
from ipamd.api.schemas.usage import ShownUsage, usage_document
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.engine import Engine
from ipamd.models.address import parse_address, parse_network
from ipamd.models.errors import InvalidValue, NotFound
from ipamd.models.limits import MOST_ROUTES
from ipamd.models.pool import Pool

router = APIRouter(prefix="/v1/pools", tags=["pools"])
log = structlog.get_logger()


class PoolsQuery(PageQuery):
    """Which pools."""

    space: Word | None = None


class SamplesPageQuery(SampleFilter, PageQuery):
    """Which samples, and which page of them."""


class RouteQuery(Document):
    """Which route of a pool. Without `gw` all routes to `dst`."""

    dst: Prefix
    gw: Address | None = None


@router.post("", status_code=HTTPStatus.CREATED)
async def create_pool(body: NewPool, engine: TheEngine, response: Response) -> ShownPool:
    """Create a pool. Pools of one space may not overlap."""
    pool = await engine.administration.create_pool(body.value())
    log.info("pool", outcome="created", pool=pool.name, subnet=str(pool.subnet), revision=pool.revision)
    response.headers["Location"] = f"/v1/pools/{pool.name}"
    return _shown(pool, response)


@router.get("", response_model=Page[ShownPool])
async def list_pools(query: Annotated[PoolsQuery, Query()], catalogue: CurrentCatalogue) -> dict[str, Any]:
    """List all pools, by name."""
    pools = [pool for pool in catalogue.pools.values() if query.space in (None, pool.space)]
    return page_of_names(pools, query, document_of, lambda pool: (pool.name,))


@router.get("/{name}")
async def read_pool(name: str, catalogue: CurrentCatalogue, response: Response) -> ShownPool:
    """Show one pool."""
    return _shown(_pool(catalogue, name), response)


@router.patch("/{name}")
async def change_pool(
    name: str,
    body: PoolPatch,
    engine: TheEngine,
    catalogue: CurrentCatalogue,
    response: Response,
    if_match: IfMatch = None,
) -> ShownPool:
    """Change a pool by a merge patch. It is refused if the pool could no longer give a held address."""
    expected = expected_revision(if_match, _pool(catalogue, name).revision)
    return _shown(await _edit(engine, name, body.apply, expected), response)


@router.delete("/{name}", status_code=HTTPStatus.NO_CONTENT)
async def delete_pool(
    name: str, engine: TheEngine, catalogue: CurrentCatalogue, if_match: IfMatch = None
) -> None:
    """Delete a pool. It is refused if an address of it is held. The history stays."""
    expected = expected_revision(if_match, _pool(catalogue, name).revision)
    await engine.administration.delete_pool(name, expected)
    log.info("pool", outcome="deleted", pool=name)


@router.get("/{name}/usage")
async def read_usage(name: str, engine: TheEngine, catalogue: CurrentCatalogue) -> ShownUsage:
    """Show how many addresses a pool has, their state, and how many allocations wait for one."""
    pool = _pool(catalogue, name).name
    usage, away = await engine.queries.usage(pool), await engine.queries.away(pool)
    return usage_document(usage, away.get(pool, 0), engine.waiting.count_for(pool))


@router.get("/{name}/usage/history", response_model=Page[ShownSample])
async def read_usage_history(
    name: str,
    query: Annotated[SamplesPageQuery, Query()],
    engine: TheEngine,
    catalogue: CurrentCatalogue,
) -> dict[str, Any]:
    """List how many addresses of a pool were allocated, hour by hour, oldest first. A year is kept."""
    begin, end = query.bounds()
    after = query.after_number()
    begin = begin if after is None else max(begin, after + 1)
    samples = await engine.queries.samples(_pool(catalogue, name).name, begin, end, query.limit + 1)
    return page(samples, query.limit, sample_document, lambda sample: sample.at)


@router.get("/{name}/forecast")
async def read_forecast(
    name: str, query: Annotated[ForecastQuery, Query()], engine: TheEngine, catalogue: CurrentCatalogue
) -> ShownForecast:
    """Show when a pool is full at the pace of its last days, or why that cannot be said.

    A straight line is fitted to the samples of the last `days`, and followed from now on. `room` are the
    addresses that the pool can still give, `growth` is in addresses a day.
    """
    known = await engine.queries.forecast(_pool(catalogue, name).name, query.days)
    return forecast_document(known, query.days)


@router.get("/{name}/routes", response_model=Page[ShownRoute])
async def list_routes(
    name: str, query: Annotated[PageQuery, Query()], catalogue: CurrentCatalogue
) -> dict[str, Any]:
    """List the routes that a pool gives to its containers, in their order."""
    pool = _pool(catalogue, name)
    begin = query.after_number() or 0
    numbered = list(enumerate(pool.routes, start=1))[begin:]
    return page(numbered, query.limit, lambda row: shown_route(row[1]), lambda row: row[0])


@router.post("/{name}/routes", status_code=HTTPStatus.CREATED)
async def add_route(
    name: str,
    body: RouteDocument,
    engine: TheEngine,
    catalogue: CurrentCatalogue,
    response: Response,
    if_match: IfMatch = None,
) -> ShownRoute:
    """Add a route to a pool."""
    route = body.value()

    def edit(pool: Pool) -> Pool:
        if any(route.destination == other.destination for other in pool.routes):
            raise Problem(
                HTTPStatus.CONFLICT,
                "route-exists",
                f"pool {pool.name} has a route to {route.dst} already: remove it first",
            )
        if len(pool.routes) >= MOST_ROUTES:
            raise InvalidValue("routes", f"a pool has {MOST_ROUTES} routes at most")
        return replace(pool, routes=(*pool.routes, route))

    expected = expected_revision(if_match, _pool(catalogue, name).revision)
    pool = await _edit(engine, name, edit, expected)
    response.headers.update(entity_tag(pool.revision))
    return shown_route(route)


@router.delete("/{name}/routes", status_code=HTTPStatus.NO_CONTENT)
async def remove_route(
    name: str,
    query: Annotated[RouteQuery, Query()],
    engine: TheEngine,
    catalogue: CurrentCatalogue,
    if_match: IfMatch = None,
) -> None:
    """Remove routes from a pool."""
    dst = parse_network(query.dst)
    gw = parse_address(query.gw) if query.gw is not None else None

    def edit(pool: Pool) -> Pool:
        kept = tuple(route for route in pool.routes if route.dst != dst or gw not in (None, route.gw))
        if kept == pool.routes:
            raise NotFound("route to", str(dst))
        return replace(pool, routes=kept)

    expected = expected_revision(if_match, _pool(catalogue, name).revision)
    await _edit(engine, name, edit, expected)


async def _edit(engine: Engine, name: str, edit: Callable[[Pool], Pool], expected: int | None) -> Pool:
    pool = await engine.administration.edit_pool(name, edit, expected)
    log.info("pool", outcome="changed", pool=name, revision=pool.revision)
    return pool


def _pool(catalogue: Catalogue, name: str) -> Pool:
    pool = catalogue.pools.get(name)
    if pool is None:
        raise NotFound("pool", name)
    return pool


def _shown(pool: Pool, response: Response) -> ShownPool:
    response.headers.update(entity_tag(pool.revision))
    return document_of(pool)
