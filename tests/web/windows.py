"""Windows of a real browser, and everything that they complain of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Page

from tests.web.conftest import VIEWS

AXE = Path(__file__).with_name("axe") / "axe.min.js"
PATIENCE = 60_000  # milliseconds, on a busy machine
_VIEWED = [path for path in VIEWS if not path.endswith("/samples")]
PORTIONS = [_VIEWED[begin::3] for begin in range(3)]
"""The views in parts, for tests that run side by side."""

_FOUND = (
    "axe.run().then(found => found.violations.map("
    "each => each.id + ': ' + each.nodes.slice(0, 3).map(node => node.target.join(' ')).join(', ')))"
)
_SCROLLS = "[...document.querySelectorAll('.wide')].some(each => each.scrollWidth > each.clientWidth)"


class Watched:
    """A window, and everything that it complained of or asked for elsewhere."""

    def __init__(self, context: BrowserContext, home: str) -> None:
        context.set_default_timeout(PATIENCE)
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self._home = home
        self.page.on("console", lambda said: self._note(said.type in ("error", "warning"), said.text))
        self.page.on("pageerror", lambda error: self._note(True, str(error)))
        self.page.on("dialog", lambda dialog: self._note(True, f"dialog {dialog.message}"))
        self.page.on("request", lambda sent: self._note(not sent.url.startswith(home), sent.url))

    def _note(self, bad: bool, what: str) -> None:
        if bad:
            self.complaints.append(what)

    def open(self, path: str) -> Page:
        self.page.goto(self._home + path)
        return self.page


Scheme = Literal["dark", "light"]

WIDTHS = (360, 1024, 2560)
"""One of each layout of the page: its styles change at 620 and at 1700 pixels."""

ONE_ROW = 1024
"""The least width at which the menu is one row."""


def faults(
    chromium: Browser, home: str, views: list[str], shown: Mapping[int, Scheme], **context: Any
) -> dict[str, list[str]]:
    """What is wrong with views: what does not fit a window, and what axe finds where a width is `shown` so.

    Each view is loaded once and its window changed, so it must follow. Under "" is what the browser said
    of it, and each request that went elsewhere.
    """
    opened = chromium.new_context(reduced_motion="reduce", **context)
    seen = Watched(opened, home)
    found: dict[str, list[str]] = {}
    for path in views:
        page = seen.open(path)
        page.evaluate(AXE.read_text())
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            wrong = []
            if width in shown:
                page.emulate_media(color_scheme=shown[width])
                wrong = page.evaluate(_FOUND)
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                wrong.append("wider than the window")
            if width >= ONE_ROW and page.evaluate("document.querySelector('nav').offsetHeight > 40"):
                wrong.append("the menu has two rows")
            if page.evaluate(_SCROLLS):
                wrong.append("a table is wider than the window")
            found[f"{path} at {width}"] = wrong
    opened.close()
    found[""] = seen.complaints
    return {path: wrong for path, wrong in found.items() if wrong}
