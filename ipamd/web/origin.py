"""Whether a request that changes something was sent by a page of ipamd itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

SAFE: Final = frozenset(("GET", "HEAD"))


def is_our_own(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that one of our pages sent the request.

    No page of others can write these headers (Fetch, sections 3.2 and "Fetch Metadata"). A request without
    any of the two is refused: no browser that our pages support sends one.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""


def comes_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether somebody followed a link of another site. The browser then keeps back our cookie."""
    return headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-dest") == "document"


def is_encrypted(headers: Mapping[str, str], scheme: str) -> bool:
    """Whether the browser speaks TLS, with ipamd or with a proxy in front of it."""
    return scheme == "https" or urlsplit(headers.get("origin", "")).scheme == "https"
