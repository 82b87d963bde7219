"""The steps of the schema, whichever database they are taken on.

The migrations stand in the folder `migrations/` of a checkout, which a wheel carries inside the package. The
number of a migration is the revision of the schema; only upwards is promised.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

import ipamd
from ipamd.backends.sql.schema import REVISION
from ipamd.backends.sql.version import SchemaVersion, misfit
from ipamd.models.errors import SchemaUnfit


class Migration(NamedTuple):
    """One step of the schema: its revision and what it does, in one line."""

    revision: int
    title: str


def history() -> list[Migration]:
    """All migrations that this ipamd has, the first one first."""
    scripts = ScriptDirectory.from_config(_config())
    steps = [Migration(int(script.revision), script.doc) for script in scripts.walk_revisions()]
    return sorted(steps)


def take(connection: Connection, found: SchemaVersion, to: int | None) -> None:
    """Migrate over a connection that is in a transaction, to a revision or to the latest.

    A later ipamd's schema is left as it is if this one may serve it. Raises SchemaUnfit.
    """
    if to is None and found.revision > REVISION:
        # Whoever goes back to this ipamd starts it as usual: with `ipamd migrate` before it.
        sentence = misfit(found)
        if sentence is not None:
            raise SchemaUnfit(sentence)
        return
    _upgrade(connection, found, REVISION if to is None else to)


def _upgrade(connection: Connection, found: SchemaVersion, to: int) -> None:
    known = [migration.revision for migration in history()]
    if to not in known:
        raise SchemaUnfit(f"there is no revision {to} of the schema: this ipamd knows 1 to {known[-1]}")
    if found.revision > to:
        raise SchemaUnfit(
            f"the schema of the database is at revision {found.revision}: it cannot go back to {to}"
        )
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, f"{to:04d}")


def folder() -> Path:
    """Where the migrations are."""
    package = Path(ipamd.__file__).parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    return config
