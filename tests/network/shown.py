"""What the documentation shows: network configurations, each a file beside its page, and pools."""

import json
import re
import shlex
import textwrap
from pathlib import Path
from typing import Any, Final

import yaml

from tests.network.plugin import Document
from tests.node_executable import ROOT

FOLDER: Final = ROOT / "docs" / "runtimes"


def path(name: str) -> Path:
    """The file of a configuration, as a user would copy it."""
    return FOLDER / name


def network(name: str) -> Document:
    """A configuration read."""
    document: Document = json.loads(path(name).read_bytes())
    return document


def pools(page: str) -> list[dict[str, Any]]:
    """The pools that a page has in YAML, as `ipamctl apply` takes them."""
    blocks = re.findall(
        r"^ *```yaml\n(.*?)^ *```", (ROOT / "docs" / page).read_text(), re.DOTALL | re.MULTILINE
    )
    documents = [
        yaml.safe_load(textwrap.dedent(block))
        for block in blocks
        if re.search(r"^\s*pools:\s*$", block, re.M)
    ]
    return [pool for document in documents for pool in document["pools"]]


def commands(page: str, command: str) -> list[list[str]]:
    """The arguments of each `ipamctl` command of a kind that a page has in a sentence or a block."""
    text = (ROOT / "docs" / page).read_text()
    found = re.findall(rf"ipamctl ({command} [^`|#]*?)(?:`|\n```|\n(?=ipamctl)|#)", text)
    return [shlex.split(each) for each in found if "…" not in each]
