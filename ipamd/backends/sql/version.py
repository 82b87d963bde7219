"""Whether this code and a database's schema fit each other (docs: "Versions side by side")."""

from __future__ import annotations

from typing import NamedTuple

from ipamd.backends.sql.schema import REVISION


class SchemaVersion(NamedTuple):
    """What a migration leaves: its revision, and the oldest revision whose code may still run on it.

    A step that only adds leaves the second number; one that takes something away raises it. So replicas of
    the version before serve on while a new one migrates.
    """

    revision: int
    oldest_code: int


NO_SCHEMA = SchemaVersion(0, 0)


def misfit(found: SchemaVersion, code: int = REVISION) -> str | None:
    """None when code of a revision may run on a schema, else the sentence that says what to do."""
    if found.revision < code:
        what = f"at revision {found.revision}" if found.revision else "empty"
        return f"the schema of the database is {what}, and this ipamd needs {code}: run `ipamd migrate`"
    if code < found.oldest_code:
        return (
            f"the schema of the database is at revision {found.revision}, which needs an ipamd of revision "
            f"{found.oldest_code} or later; this one is of {code}: install a newer ipamd"
        )
    return None
