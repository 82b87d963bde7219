"""How a URL of PostgreSQL is read."""

import pytest

from ipamd.backends.sql.postgres.address import Address, Host
from ipamd.backends.sql.postgres.unit import quoted
from ipamd.models.errors import DatabaseUnfit
from tests.postgres import Postgres


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u@one/db", ()),
        ("postgresql:///db", ()),
        ("postgresql://u:p%40ss@one:1,two/db", (Host("one", 1), Host("two", 5432))),
        ("postgresql://[fd00::1]:7,[fd00::2]/db", (Host("fd00::1", 7), Host("fd00::2", 5432))),
        ("postgresql:///db?host=one,two&port=5,6", (Host("one", 5), Host("two", 6))),
        ("postgresql:///db?host=one,two:8&port=5", (Host("one", 5), Host("two", 8))),
        ("postgresql://u@%2Frun%2Fa,b/db", (Host("/run/a", 5432), Host("b", 5432))),
        ("postgresql://u@/db?host=%2Frun%2Fa,%2Frun%2Fb", (Host("/run/a", 5432), Host("/run/b", 5432))),
    ],
)
def test_hosts_are_read_as_libpq_reads_them(
    url: str, hosts: tuple[Host, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPORT", raising=False)

    address = Address.read(url)

    assert address.hosts == hosts
    assert ("target_session_attrs=read-write" in address.url) == bool(hosts)


@pytest.mark.parametrize(
    ("query", "settings"),
    [
        ("sslmode=require", {}),
        ("search_path=net", {"search_path": "net"}),
        ("options=-c%20search_path%3Dnet%20-cwork_mem=4MB", {"search_path": "net", "work_mem": "4MB"}),
        (r"options=--search-path%3Da%5C%20b,c", {"search_path": "a b,c"}),
        ("connect_timeout=7&application_name=mine", {"application_name": "mine"}),
    ],
)
def test_what_is_not_for_the_driver_is_a_setting_of_the_server(query: str, settings: dict[str, str]) -> None:
    address = Address.read(f"postgresql://u@h/db?{query}")

    assert address.settings == settings
    assert all(name not in address.url for name in ("search", "options", "connect_timeout", "application"))


def test_the_url_may_say_how_long_a_host_is_waited_for() -> None:
    assert Address.read("postgresql://h/db?connect_timeout=7").seconds == 7
    assert Address.read("postgresql://h/db").seconds is None


def test_a_place_names_neither_user_nor_password() -> None:
    assert Address.read("postgresql://me:secret@one,two:6/a%20b?sslmode=require").place == "a b on one,two:6"


@pytest.mark.parametrize(
    "rest",
    [
        "//h,i/db?port=1,2,3",
        "//h:x,i/db",
        "//h/db?options=-x",
        "//h/db?nonsense",
        "//h/db?connect_timeout=soon",
    ],
)
def test_what_is_no_url_is_refused_with_one_sentence(rest: str) -> None:
    with pytest.raises(DatabaseUnfit, match="write postgresql://USER@HOST:5432/DATABASE"):
        Address.read(f"postgresql:{rest}")


@pytest.mark.parametrize("text", ["plain", "a'b", "back\\slash", "\\'; DROP TABLE x; --", "né"])
def test_a_setting_is_quoted_so_that_it_stays_one_value(postgres: Postgres, text: str) -> None:
    assert postgres.sql(f"SELECT {quoted(text)}") == [[text]]
