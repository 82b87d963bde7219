"""Nodes' boots and last contacts, and when tokens were last used."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from sqlalchemy import ColumnElement, bindparam, select, tuple_

from ipamd.backends.sql.schema import BOOT, CONTACT, TOKEN_USE
from ipamd.backends.sql.session import Statement
from ipamd.backends.sql.statements.writing import added, replaced

BOOT_COLUMNS: Final = (BOOT.c.identity, BOOT.c.number)

BOOTS: Final = Statement(
    select(*BOOT_COLUMNS)
    .where(BOOT.c.cluster == bindparam("of_cluster"), BOOT.c.node == bindparam("of_node"))
    .order_by(BOOT.c.number),
    ("of_cluster", "of_node"),
)
SAVE_BOOT: Final = added(BOOT)
SAVE_CONTACT: Final = replaced(CONTACT)
SAVE_USE: Final = replaced(TOKEN_USE)
USES: Final = Statement(select(TOKEN_USE), ())


@lru_cache
def contacts(given: tuple[str, ...], *, goes_on: bool) -> Statement:
    """The nodes that have called, by their keys, with what a `ContactQuery` gives; from behind a key on."""
    columns = CONTACT.c.cluster, CONTACT.c.node
    conditions: dict[str, ColumnElement[bool]] = {
        "cluster": CONTACT.c.cluster == bindparam("of_cluster"),
        "name": CONTACT.c.node == bindparam("of_name"),
        "part": CONTACT.c.node.like(bindparam("of_part"), escape="\\"),
    }
    query = select(CONTACT).where(*(conditions[name] for name in given if name != "limit"))
    names = tuple(f"of_{name}" for name in given)
    if "limit" in given:
        query = query.limit(bindparam("of_limit"))
    if goes_on:
        behind = tuple_(bindparam("after_cluster"), bindparam("after_node"))
        query, names = query.where(tuple_(*columns) > behind), (*names, "after_cluster", "after_node")
    return Statement(query.order_by(*columns), names)


def escaped(text: str) -> str:
    """A text as a part of a pattern for LIKE."""
    return re.sub(r"([\\%_])", r"\\\1", text)
