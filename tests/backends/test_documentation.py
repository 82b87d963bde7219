"""The page for writers of backends names tests that exist."""

import re

from tests.backends.suite import REPOSITORY


def test_every_test_that_the_page_names_is_one_of_the_suite() -> None:
    page = (REPOSITORY / "docs" / "backends.md").read_text()
    suite = (REPOSITORY / "ipamd" / "backends" / "conformance").glob("test_*.py")
    tests = {name for module in suite for name in re.findall(r"def (test_\w+)", module.read_text())}
    modules = {module.stem for module in (REPOSITORY / "ipamd/backends/conformance").glob("test_*.py")}

    named = set(re.findall(r"`(test_\w+)`", page))

    assert len(named) > 40
    assert named - tests - modules == set()
    assert modules <= named
