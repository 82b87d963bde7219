"""Each backend keeps every promise, and the suite says which do not apply."""

from pathlib import Path

import pytest

from tests.backends.suite import run_suite

HARNESSES = "tests.backends.harnesses"
PASSED = 0
USAGE = 4

pytestmark = pytest.mark.timeout(
    1000
)  # PostgreSQL's run takes 40 s, and ten times that on a busy, slow machine


@pytest.mark.parametrize("name", ["MEMORY", "SQLITE", "POSTGRESQL", "FILE"])
def test_the_backend_keeps_every_promise(scratch: Path, name: str) -> None:
    verdict = run_suite(scratch, "--backend-harness", f"{HARNESSES}:{name}", "--tb=short")

    assert verdict.code == PASSED, verdict.text
    assert "skipped" not in verdict.text


@pytest.mark.faults
def test_postgresql_behind_a_pooler_keeps_what_is_promised_of_locks(scratch: Path) -> None:
    where = ("-k", "concurrency or locking or durability")

    verdict = run_suite(scratch, "--backend-harness", f"{HARNESSES}:POOLED", "--tb=short", *where)

    assert verdict.code == PASSED, verdict.text


def test_a_backend_of_another_package_is_tried_by_its_url_alone(scratch: Path) -> None:
    verdict = run_suite(scratch, "--backend-url", "file://{folder}/database", "-k", "durability or closing")

    assert verdict.code == PASSED, verdict.text


def test_durability_is_no_promise_of_a_database_that_does_not_last(scratch: Path) -> None:
    listed = run_suite(scratch, "--backend-harness", f"{HARNESSES}:MEMORY", "--collect-only").text
    lasting = run_suite(scratch, "--backend-harness", f"{HARNESSES}:FILE", "--collect-only").text

    assert "test_durability.py" not in listed
    assert "test_crashes.py" not in listed
    assert "test_durability.py" in lasting
    assert "test_crashes.py" in lasting


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name the backend"),
        (["--backend-url", "memory://", "--backend-harness", "a:b"], "name the backend"),
        (["--backend-url", "file:///tmp/one"], "has no {folder}"),
        (["--backend-harness", "MEMORY"], "write MODULE:OBJECT"),
        (["--backend-harness", "no_such_module:MEMORY"], "no_such_module"),
        (["--backend-harness", f"{HARNESSES}:NOBODY"], "is no Harness"),
    ],
)
def test_a_backend_that_is_named_wrongly_is_refused_in_one_sentence(
    scratch: Path, arguments: list[str], sentence: str
) -> None:
    verdict = run_suite(scratch, *arguments)

    assert verdict.code == USAGE
    assert sentence in verdict.text
    assert "Traceback" not in verdict.text
