"""The page: what people see of ipamd in a browser.

It reads sums and blocks through the engine, and asks everything else of the admin API, in this process, with
the visitor's own token: so a visitor may do here what REST lets them do, and is refused in the same words.
"""

from __future__ import annotations

from starlette.types import ASGIApp

from ipamd.api.access import Access
from ipamd.engine.engine import Engine


def make_page(engine: Engine, access: Access, rest: ASGIApp) -> ASGIApp:
    """The page of an engine. It is imported when it is made: no call of the plugin waits for that."""
    from ipamd.web.application import Page

    return Page(engine, access, rest)
