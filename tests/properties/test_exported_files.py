"""What `ipamctl export` writes, `ipamctl apply` reads as the same, whatever the names and notes are."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from ipamd.ctl.desired import DesiredFiles
from ipamd.ctl.render import print_yaml

AMBIGUOUS = (
    "null ~ true yes on off no 0o17 0x1f 1_000 1e3 1:30 .5 .inf .nan +5 -0 - ? : 2026-01-31 12:30:45 << = "
    "!!int &a *a [a] {a} #a a#b 'a' \"a\" |- >- %YAML --- ... @ `"
)
ODD = [
    "",
    " ",
    " a",
    "a ",
    "a: b",
    "a #b",
    "a\nb",
    "a\n",
    "\na",
    "a\r\nb",
    "\t",
    "\x85",
    "\u2028",
    "\ufeff",
    "\x7f",
    "\U0001f600",
]

texts = (
    some.text(some.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
    | some.sampled_from(AMBIGUOUS.split())
    | some.sampled_from(ODD)
)
values = some.none() | some.booleans() | some.integers(-(1 << 31), (1 << 32) - 1) | texts
entries = some.dictionaries(
    texts, values | some.lists(texts, max_size=3) | some.dictionaries(texts, texts, max_size=3), max_size=5
)


@given(pools=some.lists(entries, max_size=3), reservations=some.lists(entries, max_size=3))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_exported_file_says_what_was_exported(
    scratch: Path, pools: list[dict[str, Any]], reservations: list[dict[str, Any]]
) -> None:
    lists = {"pools": pools, "reservations": reservations}
    exported = io.StringIO()
    with redirect_stdout(exported):
        print_yaml(lists)
    file = scratch / "exported.yaml"
    file.write_bytes(exported.getvalue().encode())

    assert DesiredFiles.read([str(file)]).lists == lists
