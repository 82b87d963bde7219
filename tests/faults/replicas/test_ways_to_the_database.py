"""Several hosts, a pooler, a schema of its own, TLS: the ways by which people reach PostgreSQL."""

import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import quote

import pytest

from ipamd.backends.registry import open_backend
from ipamd.models.errors import DatabaseUnfit
from tests.cni.authority import Authority
from tests.faults.clients import Caller, Node
from tests.faults.ledger import compare
from tests.faults.replicas.clients import clients_at
from tests.faults.replicas.cluster import PostgresTables
from tests.faults.replicas.pair import DATABASE, Pair
from tests.faults.replicas.services import services
from tests.pgbouncer import pgbouncer, url_through
from tests.ports import free_port
from tests.postgres import USER, Postgres, migrate, running_postgres
from tests.service import scratch_folder
from tests.waiting import eventually

ANSWERS = 300


@pytest.fixture
def empty(postgres: Postgres) -> Iterator[str]:
    """A database without a schema of ours; its name."""
    with postgres.database() as name:
        yield name


@pytest.fixture
def bouncer(postgres: Postgres) -> Iterator[str]:
    """The folder of a PgBouncer in transaction mode before the server."""
    with pgbouncer(postgres) as folder:
        yield folder


def test_many_clients_are_served_through_a_pooler_of_transactions(
    postgres: Postgres, empty: str, bouncer: str
) -> None:
    url = url_through(bouncer, empty)
    migrate(url)
    postgres.sql(f"ALTER DATABASE {empty} SET synchronous_commit = off")
    postgres.sql(NOTED, empty)

    with services(url) as replicas, clients_at(*(each.port for each in replicas)) as clients:
        eventually(lambda: sum(client.ledger.answered for client in clients) > ANSWERS)
        log = "".join(replica.log.read_text() for replica in replicas)

    tables = PostgresTables(postgres, empty)
    compare([client.ledger for client in clients], tables)
    assert tables.rows("SELECT DISTINCT uid FROM allocation") == [("on off off",)]
    assert "there is a pooler before the database" in log
    assert "prepared statement" not in log


NOTED = """
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  NEW.uid := concat_ws(' ', current_setting('synchronous_commit'), current_setting('enable_seqscan'),
                       current_setting('jit'));
  RETURN NEW; END $$;
CREATE TRIGGER noted BEFORE INSERT ON allocation FOR EACH ROW EXECUTE FUNCTION noted()"""


def test_several_that_migrate_through_a_pooler_at_once_all_succeed(
    postgres: Postgres, empty: str, bouncer: str
) -> None:
    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(lambda _: migrate(url_through(bouncer, empty)), range(3)))

    assert {each.stdout for each in done} == {done[0].stdout}
    assert postgres.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [["0"]]


@pytest.mark.parametrize("through", ["the server", "a pooler"])
@pytest.mark.parametrize("written", ["search_path=net", "options=-c%20search_path%3Dnet"])
def test_a_schema_of_its_own_is_used_alone(
    postgres: Postgres, empty: str, bouncer: str, through: str, written: str
) -> None:
    postgres.sql("CREATE SCHEMA net", empty)
    plain = postgres.url(empty) if through == "the server" else url_through(bouncer, empty)
    url = f"{plain}&{written}"

    migrate(url)
    with services(url, 1) as [replica]:
        caller = Caller(replica.port, Node("node-0"), ["pods"])
        assert caller.add("c").code == 0

    assert postgres.sql("SELECT container_id FROM net.allocation", empty) == [["c"]]
    assert postgres.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", empty) == []


def test_of_several_hosts_one_that_takes_writes_serves_though_others_are_silent_gone_or_read_only(
    postgres: Postgres, postgres_database: str
) -> None:
    name = postgres_database.partition("@/")[2].partition("?")[0]
    with ExitStack() as stack:
        silent = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=1)))
        read_only = stack.enter_context(running_postgres())
        hosts = [
            f"127.0.0.1:{free_port()}",
            f"127.0.0.1:{silent.getsockname()[1]}",
            quote(str(read_only.folder), safe=""),
            quote(str(postgres.folder), safe=""),
        ]
        read_only.sql(f"CREATE DATABASE {name}")
        read_only.sql("ALTER SYSTEM SET default_transaction_read_only = on")
        read_only.sql("SELECT pg_reload_conf()")

        with services(f"postgresql://{USER}@{','.join(hosts)}/{name}", 1) as [replica]:
            assert Caller(replica.port, Node("node-0"), ["pods"]).add("c").code == 0

    assert set(PostgresTables(postgres, name).live()) == {"c"}


async def test_hosts_of_which_none_takes_writes_are_refused_with_what_to_do(
    postgres: Postgres, postgres_database: str
) -> None:
    name = postgres_database.partition("@/")[2].partition("?")[0]
    postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    folder = quote(str(postgres.folder), safe="")
    try:
        with pytest.raises(DatabaseUnfit, match="no host takes writes: name the primary too"):
            await open_backend(f"postgresql://{USER}@127.0.0.1:1,{folder}/{name}")
    finally:
        postgres.sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")


@pytest.fixture
def authority(scratch: Path) -> Authority:
    return Authority(scratch / "own", "own", "IP:127.0.0.1")


@pytest.fixture
def tls_server(authority: Authority) -> Iterator[tuple[Postgres, int]]:
    """A server that takes TLS with a client's certificate only, and its port on loopback."""
    with scratch_folder() as folder:
        port = free_port()
        files = {}
        for setting, source in (
            ("ssl_cert_file", authority.server),
            ("ssl_key_file", authority.server_key),
            ("ssl_ca_file", authority.ca),
        ):
            files[setting] = str(shutil.copy(source, folder / source.name))
        settings = {"ssl": "on", "listen_addresses": "127.0.0.1", "port": str(port), **files}
        server = Postgres(folder, **settings)
        for file in files.values():
            server.own(Path(file))
            Path(file).chmod(0o600)
        try:
            server.make()
            server.allow("hostssl all all 127.0.0.1/32 cert")
            server.allow("hostnossl all all 127.0.0.1/32 reject")
            server.start()
            yield server, port
        finally:
            server.stop()


def test_tls_with_a_certificate_of_the_server_and_of_the_client(
    tls_server: tuple[Postgres, int], authority: Authority
) -> None:
    server, port = tls_server
    server.sql("CREATE ROLE node LOGIN SUPERUSER")
    server.sql("CREATE DATABASE secured")
    url = (
        f"postgresql://node@127.0.0.1:{port}/secured?sslmode=verify-full&sslrootcert={authority.ca}"
        f"&sslcert={authority.node}&sslkey={authority.node_key}"
    )

    migrate(url)
    with services(url, 1) as [replica]:
        assert Caller(replica.port, Node("node-0"), ["pods"]).add("c").code == 0
        encrypted = server.sql(
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
            " WHERE application_name = 'ipamd'"
        )

    assert encrypted == [["t"]]


async def test_a_server_with_a_certificate_of_another_authority_is_refused(
    tls_server: tuple[Postgres, int], scratch: Path
) -> None:
    _, port = tls_server
    other = Authority(scratch / "other", "other", "IP:127.0.0.1")

    with pytest.raises(DatabaseUnfit, match="CERTIFICATE_VERIFY_FAILED"):
        await open_backend(
            f"postgresql://node@127.0.0.1:{port}/secured?sslmode=verify-full&sslrootcert={other.ca}"
        )


def test_ipamd_says_at_its_start_which_settings_may_lose_what_it_answers(
    postgres: Postgres, postgres_database: str
) -> None:
    with services(postgres_database, 1) as [replica]:
        assert replica.logged("fsync is off")
        assert replica.logged("full_page_writes is off")
        log = replica.log.read_text()

    assert "standby" not in log


async def test_ipamd_warns_of_a_standby_that_no_commit_waits_for_also_as_a_user_without_rights(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    pair.primary.sql("CREATE ROLE plain LOGIN")
    for kind in ("TABLES", "SEQUENCES"):
        pair.primary.sql(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO plain", DATABASE)

    said = {}
    for names in ("*", ""):
        pair.wait_for_standby(names)
        await (await open_backend(pair.url.replace(f"{USER}@", "plain@"))).close()
        said[names] = capsys.readouterr().out

    assert "standby" not in said["*"]
    assert "a standby is attached and synchronous_standby_names is empty" in said[""]
