"""The network configurations that the documentation shows; each is a file beside its page."""

import json
from pathlib import Path
from typing import Final

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
