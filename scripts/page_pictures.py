"""Takes the pictures of docs/page.md of a page that runs only for that: python -m scripts.page_pictures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import httpx
from playwright.sync_api import sync_playwright

from tests.service import running_service

FOLDER: Final = Path(__file__).parents[1] / "docs" / "page"
CHROMIUM: Final = "/usr/bin/chromium"
VIEWS: Final = {
    "pools": "/",
    "addresses": "/ui/pools/edge/map?at=192.0.2.0/24",
    "map": "/ui/map",
    "explain": "/ui/explain?node=worker-1&pools=edge",
}
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
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1000, "height": 620})
        for name, path in VIEWS.items():
            page.goto(service.tcp_endpoint + path)
            page.locator("main").wait_for()
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


if __name__ == "__main__":
    sys.exit(main())
