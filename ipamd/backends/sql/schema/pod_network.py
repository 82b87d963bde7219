"""The pod network of each cluster, and what of it has changed."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, CheckConstraint, Index, PrimaryKeyConstraint, Table

from ipamd.backends.sql.schema.definition import METADATA, needed

POD_NETWORK: Final = Table(
    "pod_network",
    METADATA,
    needed("cluster"),
    needed("settings"),
    needed("revision", BigInteger),
    PrimaryKeyConstraint("cluster"),
)

ANNOUNCING: Final = Table(
    "announcing",
    METADATA,
    needed("cluster"),
    needed("epoch"),
    needed("number", BigInteger),  # of the latest change of what is announced
    needed("forgotten", BigInteger),  # changes up to this number may be missing
    PrimaryKeyConstraint("cluster"),
)

ANNOUNCED: Final = Table(
    "announced",
    METADATA,
    needed("cluster"),
    needed("kind"),
    needed("name"),  # empty but for a node
    needed("number", BigInteger),  # under which it last changed
    PrimaryKeyConstraint("cluster", "kind", "name"),
    CheckConstraint("kind IN ('node', 'pools', 'settings')", name="kind"),
)
Index("announced_number", ANNOUNCED.c.cluster, ANNOUNCED.c.number)
