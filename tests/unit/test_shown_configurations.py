"""Every network configuration that a page tells an operator to use is a file, which a test runs."""

import re
from pathlib import Path

from tests.network.shown import FOLDER
from tests.node_executable import ROOT

PAGES = [
    ROOT / "README.md",
    *(
        ROOT / "docs" / name
        for name in ("kubernetes.md", "migrating.md", "multus.md", "networks.md", "runtimes.md")
    ),
]


def blocks(page: Path) -> set[str]:
    """The configurations that a page shows."""
    found = re.findall(r"^```(?:json|yaml)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    return {block for block in found if '"type": "' in block}


def test_each_configuration_that_a_page_shows_is_a_file_and_each_file_is_shown() -> None:
    shown = {block for page in PAGES for block in blocks(page)}
    files = {path.read_text() for path in FOLDER.iterdir()}

    assert shown == files


def test_each_configuration_is_run_by_a_test() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "network").glob("test_*.py"))

    assert {path.name for path in FOLDER.iterdir() if f'"{path.name}"' not in tests} == set()
