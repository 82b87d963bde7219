"""CSV as spreadsheets write it, and what is refused with its line."""

import csv
import io
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipamd.models.csv_table import COLUMNS, CsvError, CsvKind, decoded, kind_of, read, written

FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def rows(text: str, kind: CsvKind = CsvKind.RESERVATIONS, most: int = 100) -> list[tuple[int, Any]]:
    return [(row.line, row.document) for row in read(kind, text, most)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("address,owner\n10.0.0.7,vm-1\n", [(2, {"address": "10.0.0.7", "owner": "vm-1"})]),
        ("Address;Owner\r\n10.0.0.7;vm-1\r\n", [(2, {"address": "10.0.0.7", "owner": "vm-1"})]),
        ("address\towner\n10.0.0.7\tvm-1", [(2, {"address": "10.0.0.7", "owner": "vm-1"})]),
        ("id,address,owner\n7,10.0.0.7,\n", [(2, {"address": "10.0.0.7"})]),
        ("address,note\n10.0.0.7,\"a\nb, \"\"c\"\"\"\n\n10.0.0.8,x\n",
         [(2, {"address": "10.0.0.7", "note": 'a\nb, "c"'}), (5, {"address": "10.0.0.8", "note": "x"})]),
        ("address,owner\n10.0.0.7\n", [(2, {"address": "10.0.0.7"})]),
        ("address,owner\n,\n 10.0.0.7 , vm \n", [(3, {"address": "10.0.0.7", "owner": "vm"})]),
        ("address,owner\n10.0.0.7,'=vm\n", [(2, {"address": "10.0.0.7", "owner": "=vm"})]),
        ("address,owner\n10.0.0.7,'tis\n", [(2, {"address": "10.0.0.7", "owner": "'tis"})]),
        ("address\n", []),
    ],
)  # fmt: skip
def test_a_table_is_read_as_spreadsheets_write_it(text: str, expected: list[tuple[int, Any]]) -> None:
    assert rows(text) == expected
    assert rows(decoded(b"\xef\xbb\xbf" + text.encode())) == expected


def test_the_fields_of_a_pool_have_their_types() -> None:
    text = (
        "name,subnet,ranges,gateway,block_size,priority,auto_assign,borrow,routes,selectors\n"
        'p,10.0.0.0/24,10.0.0.1-10.0.0.9 10.0.0.64/26,None,27,-3,FALSE,yes,"[{""dst"": ""0.0.0.0/0""}]",'
        '"{""nodes"": [""a b""]}"\n'
    )

    [(_, document)] = rows(text, CsvKind.POOLS)

    assert kind_of(text) is CsvKind.POOLS
    assert document == {
        "name": "p",
        "subnet": "10.0.0.0/24",
        "ranges": ["10.0.0.1-10.0.0.9", "10.0.0.64/26"],
        "gateway": None,
        "block_size": 27,
        "priority": -3,
        "auto_assign": False,
        "borrow": True,
        "routes": [{"dst": "0.0.0.0/0"}],
        "selectors": {"nodes": ["a b"]},
    }


@pytest.mark.parametrize(
    ("text", "kind", "why"),
    [
        (
            "name,subnet,cooldown\np,10.0.0.0/24,1.5\n",
            CsvKind.POOLS,
            "line 2: cooldown: '1.5' is not a",
        ),
        (
            "name,subnet,borrow\np,10.0.0.0/24,maybe\n",
            CsvKind.POOLS,
            "line 2: borrow: 'maybe' is not true",
        ),
        ("name,subnet,routes\np,10.0.0.0/24,[\n", CsvKind.POOLS, "line 2: routes: '[' is not JSON"),
        ("name,subnett\n", CsvKind.POOLS, "line 1: unknown column `subnett`; did you mean `subnet`?"),
        ("address,address\n", CsvKind.RESERVATIONS, "line 1: a column comes twice"),
        ("address\n10.0.0.1,x\n", CsvKind.RESERVATIONS, "line 2: has 2 cells"),
        ('address\n"10.0.0.1\n', CsvKind.RESERVATIONS, "line 2: is not CSV"),
        ("address\n" + "x" * 70_000 + "\n", CsvKind.RESERVATIONS, "line 2: a cell has more than"),
        ("address\n" + "x" * 200_000 + "\n", CsvKind.RESERVATIONS, "line 2: is not CSV"),
        ("name,subnet,dns\np,10.0.0.0/24," + "[" * 60_000 + "\n", CsvKind.POOLS, "line 2: dns:"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, kind: CsvKind, why: str) -> None:
    with pytest.raises(CsvError) as refused:
        rows(text, kind)

    assert str(refused.value).startswith(why)


@pytest.mark.parametrize(
    ("data", "line", "why"),
    [
        ("address\n".encode("utf-16"), 1, "UTF-16"),
        (b"address\n10.0.0.1\n\xe4\n", 3, "not UTF-8"),
        (b"address\n\x00\n", 2, "NUL"),
    ],
)
def test_a_file_that_is_no_text_is_refused(data: bytes, line: int, why: str) -> None:
    with pytest.raises(CsvError, match=why) as refused:
        decoded(data)

    assert refused.value.line == line


@pytest.mark.parametrize("text", ["", "\n", "owner,note\n", "pool,address,owner\n", '"'])
def test_a_head_that_says_neither_pools_nor_reservations_is_refused(text: str) -> None:
    with pytest.raises(CsvError):
        kind_of(text)


def test_a_table_without_end_is_read_no_further_than_allowed() -> None:
    text = "address\n" + "10.0.0.1\n" * 1_000_000
    found = read(CsvKind.RESERVATIONS, text, 20_000)

    with pytest.raises(CsvError, match="line 20002: a table has 20000 rows at most: split it"):
        list(found)


def test_a_table_is_written_line_by_line() -> None:
    endless = ({"id": number, "address": "10.0.0.1"} for number in itertools.count())
    lines = written(CsvKind.RESERVATIONS, endless)

    assert next(lines) == "id,address,space,namespace,name,owner,note\r\n"
    assert next(lines) == "0,10.0.0.1,,,,,\r\n"


ANY_CHARACTER = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
TEXTS = (st.text("'=-a", max_size=5) | st.text(ANY_CHARACTER, max_size=20)).map(str.strip)


@given(st.lists(st.fixed_dictionaries({"owner": TEXTS, "note": TEXTS}), max_size=5))
def test_what_was_written_is_read_again_and_no_cell_is_a_formula(entries: list[dict[str, str]]) -> None:
    documents = [{"address": "10.0.0.1", **entry} for entry in entries]

    text = "".join(written(CsvKind.RESERVATIONS, documents))

    known = [{key: value for key, value in document.items() if value} for document in documents]
    assert [document for _, document in rows(text)] == known
    cells = [cell for line in csv.reader(io.StringIO(text, newline="")) for cell in line]
    assert not any(cell.startswith(FORMULAS) for cell in cells)


def test_a_table_of_each_kind_has_the_columns_that_rest_has() -> None:
    assert all(len(set(columns)) == len(columns) for columns in COLUMNS.values())
