"""Lists: allocations, history, nodes, reservations, quotas, holds, waiters, tokens, changes; search, explain.

Each is a page of REST: it reads as many rows as it shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from itertools import islice
from typing import Any, Final, cast
from urllib.parse import quote
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ipamd.models.address import parse_address, parse_network
from ipamd.models.pool import DEFAULT_CLUSTER
from ipamd.models.query import ContactQuery
from ipamd.web.asking import asked, engine, next_page, rest
from ipamd.web.changed import changed_fields
from ipamd.web.rendering import HEADERS, render
from ipamd.web.rest import Refused, Rest

LIMIT: Final = 50
NODES: Final = 30
"""Nodes of a page are fewer: a row counts what the node holds, and takes three times as long as others."""

SHOWN: Final = 50
"""How many pools an explanation shows at first."""

FOUND: Final = 10
"""How many of a kind a search shows."""


def _listing(template: str, path: str, *filters: str, limit: int = LIMIT) -> Any:
    """A view of one list of REST with its filters."""

    async def show(request: Request) -> Response:
        given = asked(request, *filters, "cursor")
        page = await rest(request).get(path, {**given, "limit": limit})
        return render(
            request, template, items=page["items"], given=given, more=next_page(request.url.path, given, page)
        )

    return show


async def show_node(request: Request) -> Response:
    """One node: its labels, its place in the pod network, who lives there."""
    cluster, name = request.path_params["cluster"], request.path_params["name"]
    api, given = rest(request), asked(request, "cursor")
    node = await api.get(f"/v1/nodes/{quote(cluster, safe='')}/{quote(name, safe='')}")
    query = {"cluster": cluster, "node": name, "limit": LIMIT, **given}
    return render(request, "node.html", node=node, held=await api.get("/v1/allocations", query))


async def search(request: Request) -> Response:
    """Addresses, prefixes and pools lead to their view; other words to who bears them."""
    words = request.query_params.get("q", "").strip()
    direct = await _view_of(request, words) if words else None
    if direct is not None:
        return RedirectResponse(direct, HTTPStatus.SEE_OTHER, HEADERS)
    is_name = words != "" and words.isprintable()
    found = await _found(rest(request), words) if is_name else {}
    names = await _names(request, words) if is_name else {"pools": [], "nodes": []}
    kept = await _kept(rest(request), words) if is_name else []
    return render(request, "search.html", words=words, found=found, kept=kept, most=FOUND, **names)


async def _view_of(request: Request, words: str) -> str | None:
    """The view of the one thing that words can mean."""
    catalogue = await engine(request).refresh()
    try:
        address = parse_address(words)
    except ValueError:
        pass
    else:
        pools = list(catalogue.pools_with(address))
        space = f"?space={quote(pools[0].space)}" if len(pools) == 1 else ""
        return f"/ui/addresses/{address}{space}"
    try:
        prefix = parse_network(words)
    except ValueError:
        return f"/ui/pools/{words}" if words in catalogue.pools else None
    pool = next(catalogue.pools_with(prefix[0]), None)
    if pool is None or prefix[-1] not in pool.subnet:
        return None
    return f"/ui/pools/{pool.name}/map?at={prefix}"


async def _found(api: Rest, words: str) -> Mapping[str, Any]:
    """Who bears or bore a name: a workload, an owner, a container, a node. All by an index."""
    workload = _workload(words)
    asked_for: dict[str, tuple[str, Mapping[str, str]]] = {
        "Workloads": ("/v1/history", workload or {"name": words}),
        "Owners": ("/v1/history", {"owner": words}),
        "Containers": ("/v1/allocations", {"container_id": words}),
        "On the node": ("/v1/allocations", {"node": words}),
    }
    if workload is not None:
        of_namespace = {"namespace": workload["namespace"], "owner": workload["name"]}
        asked_for["Owners of its namespace"] = ("/v1/history", of_namespace)
    answers = await asyncio.gather(*(_or_none(api, *each) for each in asked_for.values()))
    return {title: answer for title, answer in zip(asked_for, answers, strict=True) if answer["items"]}


async def _kept(api: Rest, words: str) -> Sequence[Mapping[str, Any]]:
    """What is reserved for an owner or a workload of this name."""
    page = await _or_none(api, "/v1/reservations", _workload(words) or {"owner": words})
    return cast(Sequence[Mapping[str, Any]], page["items"])


def _workload(words: str) -> Mapping[str, str] | None:
    """A workload that is named with its namespace."""
    namespace, _, name = words.partition("/")
    return {"namespace": namespace, "name": name} if namespace and name else None


async def _or_none(api: Rest, path: str, query: Mapping[str, str]) -> Any:
    """A short list; an empty one if the words cannot be such a name."""
    try:
        return await api.get(path, {**query, "limit": FOUND})
    except Refused as refused:
        if refused.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return {"items": [], "next": None}
        raise


async def _names(request: Request, words: str) -> Mapping[str, Any]:
    """Pools and nodes with these words in their names."""
    catalogue, sought = engine(request).catalogue, words.lower()
    pools = list(islice((pool.name for _, pool in catalogue.pools_by_name if sought in pool.name), FOUND))
    called = await engine(request).contacts(ContactQuery(part=sought, limit=FOUND))
    labelled = islice((key for key in catalogue.nodes_after(None, None) if sought in key.name), FOUND)
    nodes = sorted({*called, *labelled})[:FOUND]
    return {"pools": pools, "nodes": nodes}


async def explain(request: Request) -> Response:
    """What a container would get, and why: the question is in the address, so it can be sent on."""
    names = ("network", "cluster", "node", "namespace", "name", "pools", "addresses", "owner", "prefix")
    given = asked(request, *names)
    shown = None if asked(request, "all") else SHOWN
    answer, refused = None, None
    if given:
        try:
            answer = (await rest(request).ask("POST", "/v1/explain", _add(given))).document
        except Refused as error:
            refused = error
    return render(
        request, "explain.html", given=given, answer=answer, refused=refused, shown=shown, names=names
    )


def _add(given: Mapping[str, str]) -> dict[str, Any]:
    """The body of an ADD of a container that nobody knows."""
    ipam: dict[str, Any] = {"type": "ipamd-ipam"}
    if "pools" in given:
        ipam["pools"] = given["pools"].replace(",", " ").split()
    config: dict[str, Any] = {"cniVersion": "1.1.0", "name": given.get("network", "default"), "ipam": ipam}
    wanted: dict[str, Any] = {key: given[key] for key in ("owner", "prefix") if key in given}
    if "addresses" in given:
        wanted["ips"] = given["addresses"].replace(",", " ").split()
    if wanted:
        config["args"] = {"cni": wanted}
    workload = {"K8S_POD_NAMESPACE": given.get("namespace"), "K8S_POD_NAME": given.get("name")}
    return {
        "container_id": f"explain-{uuid4()}",
        "netns": "/run/netns/explain",
        "ifname": "eth0",
        "args": ";".join(f"{key}={value}" for key, value in workload.items() if value is not None),
        "path": "/opt/cni/bin",
        "cluster": given.get("cluster", DEFAULT_CLUSTER),
        "node": given.get("node", "none"),
        "config": config,
    }


async def show_log(request: Request) -> Response:
    """Who changed what: each change with what was different before."""
    given = asked(request, "kind", "name", "by", "after", "before", "cursor")
    page = await rest(request).get("/v1/log", {**given, "limit": LIMIT})
    items = [{**item, "differences": changed_fields(item)} for item in page["items"]]
    return render(
        request, "log.html", items=items, given=given, more=next_page(request.url.path, given, page)
    )


HISTORY: Final = (
    "address",
    "space",
    "namespace",
    "name",
    "owner",
    "cluster",
    "node",
    "at",
    "after",
    "before",
)
ALLOCATIONS: Final = (
    "pool",
    "cluster",
    "node",
    "network",
    "namespace",
    "name",
    "container_id",
    "owner",
    "space",
)

ROUTES: Final = [
    Route("/ui/allocations", _listing("allocations.html", "/v1/allocations", *ALLOCATIONS)),
    Route("/ui/history", _listing("history.html", "/v1/history", *HISTORY)),
    Route("/ui/nodes", _listing("nodes.html", "/v1/nodes", "cluster", limit=NODES)),
    Route("/ui/nodes/{cluster:name}/{name:name}", show_node),
    Route(
        "/ui/reservations",
        _listing("reservations.html", "/v1/reservations", "space", "namespace", "name", "owner", "address"),
    ),
    Route("/ui/quotas", _listing("quotas.html", "/v1/quotas")),
    Route("/ui/holds", _listing("holds.html", "/v1/holds")),
    Route("/ui/waiters", _listing("waiters.html", "/v1/waiters")),
    Route("/ui/owners", _listing("owners.html", "/v1/owners", "cluster", "namespace", "name")),
    Route("/ui/tokens", _listing("tokens.html", "/v1/tokens")),
    Route("/ui/log", show_log),
    Route("/ui/search", search),
    Route("/ui/explain", explain),
]
