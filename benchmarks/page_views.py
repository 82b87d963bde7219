"""The views of the page as somebody opens them who looks at a population."""

from __future__ import annotations

from typing import Final

COMPARED: Final = "/v1/pools/small-00001"
"""What each view's time is compared with."""

LIVE: Final = (
    "/",
    "/ui/pools/small-00001",
    "/ui/pools/wide/map?at=10.0.0.0/16",
    "/ui/map",
    "/ui/allocations",
    "/ui/nodes",
    "/ui/nodes/default/node-1",
)
"""One of each kind that follows the service while it is open."""

VIEWS: Final = (
    *LIVE,
    "/?q=small-000&space=default",
    "/ui/pools/wide",
    "/ui/map?at=10.0.0.0/7",
    "/ui/pools/to-nodes",
    "/ui/pools/wide/map",
    "/ui/pools/wide/map?at=10.0.3.0/24",
    "/ui/pools/small-00001/map?at=11.0.7.0/24",
    "/ui/pools/small-00001/samples",
    "/ui/addresses/10.0.3.4",
    "/ui/addresses/11.0.7.0",
    "/ui/search?q=nonsense",
    "/ui/search?q=small-0000",
    "/ui/search?q=node-1",
    "/ui/search?q=kept-1",
    "/ui/explain?node=node-1&pools=small-00001",
    "/ui/explain?node=node-1&namespace=web",
    "/ui/explain?node=node-1&namespace=web&all=1",
    "/ui/tree",
    "/ui/tree?open=wide",
    "/ui/tree?free=600",
    "/ui/tree?free=1000000000",
    "/ui/allocations?pool=wide",
    "/ui/allocations?node=node-1",
    "/ui/allocations?namespace=ns-1",
    "/ui/history",
    "/ui/history?node=node-1",
    "/ui/history?address=10.0.3.4",
    "/ui/reservations",
    "/ui/reservations?address=11.0.7.0",
    "/ui/quotas",
    "/ui/edit/quota/team-1",
    "/ui/owners",
    "/ui/holds",
    "/ui/waiters",
    "/ui/tokens",
    "/ui/log",
    "/ui/requests",
    "/ui/tables",
    "/ui/new/pool",
    "/ui/new/node",
    "/ui/new/owner",
    "/ui/edit/hold/team-1",
    "/ui/edit/pool/small-00001",
    "/ui/edit/node/default/node-1",
    "/ui/delete/pool/small-00001",
    "/ui/release/node/default/node-1",
)
