"""What a start does not wait for: packages that no call of the plugin needs, nor any other command."""

import subprocess
import sys

import pytest

ADMIN_API = {"fastapi", "pydantic", "prometheus_client"}
MIGRATION = {"alembic", "mako"}


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        (["ipamd.cli"], {*ADMIN_API, *MIGRATION, "sqlalchemy", "uvicorn"}),
        (["ipamd.cli.serving"], {*ADMIN_API, *MIGRATION}),
        (["ipamd.cli.serving", "ipamd.backends.sql.sqlite.backend"], {*ADMIN_API, *MIGRATION}),
        (["ipamd.cli.serving", "ipamd.backends.sql.postgres.backend"], {*ADMIN_API, *MIGRATION}),
        (["node_agent.command", "node_agent.running"], {"pydantic", "typer"}),
        (["ipamd.backends.migrations"], {*ADMIN_API, *MIGRATION, "uvicorn"}),
    ],
)
def test_what_is_not_needed_at_the_start_is_not_imported_then(modules: list[str], absent: set[str]) -> None:
    program = f"import sys, {', '.join(modules)}; print(*sorted({absent!r} & sys.modules.keys()))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
