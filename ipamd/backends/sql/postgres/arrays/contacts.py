"""Statements that note when nodes and tokens were last heard of."""

from __future__ import annotations

from typing import Final

from ipamd.backends.sql.postgres.arrays.given import upsert_into
from ipamd.backends.sql.schema import CONTACT, TOKEN_USE
from ipamd.backends.sql.session import Statement


def _save_contacts() -> Statement:
    upsert, names = upsert_into(CONTACT)
    return Statement(
        upsert.on_conflict_do_update(
            index_elements=["cluster", "node"], set_={"heard": upsert.excluded.heard}
        ),
        names,
    )


def _save_uses() -> Statement:
    upsert, names = upsert_into(TOKEN_USE)
    return Statement(
        upsert.on_conflict_do_update(index_elements=["token"], set_={"used": upsert.excluded.used}), names
    )


SAVE_CONTACTS: Final = _save_contacts()
SAVE_USES: Final = _save_uses()
