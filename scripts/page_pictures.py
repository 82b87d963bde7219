"""Takes the pictures of docs/page.md of a page that runs only for that: python -m scripts.page_pictures."""

from __future__ import annotations

import math
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

import httpx
from playwright.sync_api import sync_playwright

from ipamd.models.instant import SECOND
from tests.service import running_service

FOLDER: Final = Path(__file__).parents[1] / "docs" / "page"
CHROMIUM: Final = "/usr/bin/chromium"
WIDE: Final = (1000, 620)
NARROW: Final = (360, 620)
VIEWS: Final[Sequence[tuple[str, str, tuple[int, int], Literal["dark", "light"]]]] = (
    ("pools", "/", WIDE, "light"),
    ("addresses", "/ui/pools/edge/map?at=192.0.2.0/24", WIDE, "light"),
    ("map", "/ui/map", WIDE, "light"),
    ("explain", "/ui/explain?node=worker-1&pools=edge", WIDE, "light"),
    ("pool", "/ui/pools/edge", (1800, 760), "dark"),
    ("narrow", "/ui/allocations?owner=vm-7", NARROW, "dark"),
)
"""Each picture: its name, its view, the size of the window, and the colours."""
DAYS: Final = 31
SAMPLE: Final = "INSERT OR IGNORE INTO usage_sample (pool, at, allocated) VALUES (?, ?, ?)"
POOLS: Final = (
    {"name": "edge", "subnet": "192.0.2.0/24", "exclusions": ["192.0.2.200-192.0.2.220"]},
    {"name": "pods-v4", "subnet": "10.64.0.0/20"},
    {"name": "pods-v6", "subnet": "fd00:64::/64"},
    {"name": "storage", "subnet": "172.16.0.0/26", "state": "active"},
)
HELD: Final = {"edge": 120, "pods-v4": 700, "pods-v6": 300, "storage": 40}


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    with running_service() as service, sync_playwright() as playwright:
        fill(service.http)
        remember(service.database)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        for name, path, (width, height), scheme in VIEWS:
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)
            page.goto(service.tcp_endpoint + path)
            page.wait_for_load_state()
            for curve in page.locator("[data-samples]").all():
                curve.locator("canvas").wait_for()
            page.screenshot(path=FOLDER / f"{name}.png")
        browser.close()
    return 0


def fill(http: httpx.Client) -> None:
    """Pools that are more or less full."""
    for pool in POOLS:
        http.post("/v1/pools", json=pool).raise_for_status()
    kept = {"address": "192.0.2.64/28", "owner": "load-balancers"}
    http.post("/v1/reservations", json=kept).raise_for_status()
    for pool_name, count in HELD.items():
        for number in range(count):
            owner = {
                "owner": f"vm-{number}",
                "pool": pool_name,
                "cluster": "default",
                "node": f"worker-{number % 3}",
            }
            http.post("/v1/allocations", json=owner).raise_for_status()
    for held in http.get("/v1/allocations", params={"pool": "edge", "limit": 9}).json()["items"]:
        http.delete(f"/v1/allocations/{held['id']}").raise_for_status()


def remember(database: Path) -> None:
    """A month of hourly samples, as if the pools had grown by day and shrunk a little by night."""
    hour = int(time.time()) // 3600 * 3600
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        for back in range(1, DAYS * 24):
            held = round(HELD["edge"] * (1 - back / DAYS / 40) + 6 * math.sin(back * math.tau / 24))
            row = ("edge", (hour - back * 3600) * SECOND, held)
            connection.execute(SAMPLE, row)


if __name__ == "__main__":
    sys.exit(main())
