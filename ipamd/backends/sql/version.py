"""Whether this code and the schema of a database fit (docs/upgrading.md)."""

from __future__ import annotations

from typing import NamedTuple

from ipamd.backends.sql.schema import REVISION


class SchemaVersion(NamedTuple):
    """The two numbers of a schema: its revision, and the oldest revision whose code can still use it.

    A migration that only adds something leaves the second number as it is; one that removes something raises
    it. So old replicas go on while a new one migrates.
    """

    revision: int
    oldest_code: int


NO_SCHEMA = SchemaVersion(0, 0)


def misfit(found: SchemaVersion, code: int = REVISION) -> str | None:
    """None if code of a revision can use a schema, else a sentence that says what to do."""
    if found.revision < code:
        what = f"at revision {found.revision}" if found.revision else "empty"
        return f"the schema of the database is {what}, and this ipamd needs {code}: run `ipamd migrate`"
    if code < found.oldest_code:
        return (
            f"the schema of the database is at revision {found.revision}, which needs an ipamd of revision "
            f"{found.oldest_code} or later; this one is of {code}: install a newer ipamd"
        )
    return None
