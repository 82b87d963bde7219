"""Limits and patterns that several rooms share: what a request, a configuration and a file may hold.

A longer list is refused with what it has and what it may have. The patterns are written for `fullmatch`.
"""

from __future__ import annotations

from typing import Final

MOST_ADDRESSES: Final = 16
"""Addresses of one request."""

MOST_POOLS: Final = 64
"""Pools that one request names."""

MOST_ROUTES: Final = 256
"""Routes of one pool, and of one configuration."""

MOST_DNS_ENTRIES: Final = 64
"""Name servers, search domains and options, each."""

LONGEST_NAME: Final = 253
"""Characters of a cluster's, network's, node's, namespace's or workload's name: those of a DNS name."""

LONGEST_INTERFACE: Final = 15
"""Characters of an interface's name: the kernel's IFNAMSIZ without its end."""

LONGEST_POOL_NAME: Final = 63
POOL_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
CNI_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
"""A network's name, and a container ID (CNI specification 1.1.0, "Parameters")."""

INTERFACE_NAME: Final = r"[^\s/:]+"

MOST_LEASED: Final = 1024
"""Free addresses of a pool that a node may hold in advance."""

MOST_ENTRIES: Final = 20_000
"""How many pools, and how many reservations, one file may have: all of it is one change."""

LEAK_GRACE_SECONDS: Final = 300
"""How long lies at least between two reports that a container is dead, before its address is freed."""

LONGEST_OWNER_KEEP: Final = 315_360_000
"""Seconds, ten years: whoever wants more makes a reservation."""

OWNER_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*"
"""The name of an owner whom workloads name."""

LEASE_SECONDS: Final = 86_400
"""How long a node may give after its last grant, at most and by default. It counts from its asking."""

LEAST_LEASE_SECONDS: Final = 60
"""A node asks several times in this time."""

LONGEST_WAIT: Final = 600
"""Seconds for which an allocation may wait for room."""

MOST_WAITERS: Final = 256
"""Allocations that wait for room, over all replicas."""
