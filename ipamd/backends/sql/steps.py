"""The migrations of the schema, for every database.

They are in the folder `migrations/` of a checkout, and inside the package of a wheel. The number of a
migration is the revision of the schema. Migrations only go upwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection

import ipamd
from ipamd.backends.sql.schema import REVISION
from ipamd.backends.sql.version import SchemaVersion, misfit
from ipamd.models.errors import SchemaUnfit

if TYPE_CHECKING:
    from alembic.config import Config


class Migration(NamedTuple):
    """One migration: its revision, and what it does, in one line."""

    revision: int
    title: str


def history() -> list[Migration]:
    """All migrations of this ipamd, the first one first."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config())
    steps = [Migration(int(script.revision), script.doc) for script in scripts.walk_revisions()]
    return sorted(steps)


def take(connection: Connection, found: SchemaVersion, to: int | None) -> None:
    """Migrate on a connection that is in a transaction, to a revision or to the latest.

    The schema of a later ipamd stays as it is if this ipamd can serve it. Raises SchemaUnfit.
    """
    if to is None and found.revision == REVISION:
        return
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
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, f"{to:04d}")


def folder() -> Path:
    """The folder of the migrations."""
    package = Path(ipamd.__file__).parent
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def _config() -> Config:
    # Alembic takes longer to import than everything else at a start, and a database is seldom migrated.
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    return config
