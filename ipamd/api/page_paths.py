"""Which paths the page for browsers has. All others are the admin API's and the plugin's."""

from __future__ import annotations

from typing import Final

HOME: Final = "/"
UNDER: Final = "/ui/"


def is_of_the_page(path: str) -> bool:
    """Whether a path is the page's."""
    return path == HOME or path.startswith(UNDER)
