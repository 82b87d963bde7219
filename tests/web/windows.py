"""Windows of a real browser, and everything that they complain of."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from tests.web.conftest import VIEWS

AXE = Path(__file__).with_name("axe") / "axe.min.js"
PATIENCE = 60_000  # milliseconds, on a busy machine
VIEWED = [path for path in VIEWS if not path.endswith("/samples")]
_FOUND = (
    "axe.run().then(found => found.violations.map("
    "each => each.id + ': ' + each.nodes.slice(0, 3).map(node => node.target.join(' ')).join(', ')))"
)


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


def faults(
    chromium: Browser, home: str, views: list[str], width: int, scheme: Any, **context: Any
) -> dict[str, list[str]]:
    """What is wrong with views in windows of one width: what axe finds, and what does not fit.

    Under "" is what the browser complained of, and each request that went elsewhere.
    """
    opened = chromium.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce", **context
    )
    seen = Watched(opened, home)
    found: dict[str, list[str]] = {}
    for path in views:
        page = seen.open(path)
        found[path] = page.evaluate(f"{AXE.read_text()};{_FOUND}")
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found[path].append("wider than the window")
    opened.close()
    found[""] = seen.complaints
    return {path: wrong for path, wrong in found.items() if wrong}
