"""`/`: what a browser sees first. It says what answers here, and where to go."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from starlette.responses import HTMLResponse

from ipamd import __version__
from ipamd.api.page import page

PATH: Final = "/"

_BODY: Final = (
    "<p>ipamd gives addresses to containers. It keeps pools, allocations and reservations, and tells who had "
    "which address and when.</p>",
    "<h2>Pages</h2>",
    "<table>",
    '<tr><td><a href="/docs">/docs</a><td>every request of the REST interface',
    '<tr><td><a href="/openapi.json">/openapi.json</a><td>the same for programs',
    '<tr><td><a href="/healthz">/healthz</a><td>whether ipamd is alive',
    '<tr><td><a href="/readyz">/readyz</a><td>whether its database answers',
    '<tr><td><a href="/metrics">/metrics</a><td>metrics for Prometheus',
    "</table>",
    "<p>As soon as ipamd has tokens, every page but this one, <code>/healthz</code> and <code>/readyz</code> "
    "needs one.</p>",
    "<h2>Commands</h2>",
    "<pre>",
    "ipamctl status                                           # is ipamd well, and how full are its pools",
    "ipamctl pool create pods-v4 --subnet 10.64.0.0/16        # make a pool",
    "ipamctl allocation list --node NODE                      # who has which address",
    "ipamctl history 10.64.0.7                                # who had an address, and when",
    "ipamctl explain --help                                   # why a container gets no address",
    "</pre>",
    "<p><code>ipamctl --help</code> lists all commands.</p>",
)


def install(application: FastAPI) -> None:
    """Serve the page."""

    async def welcome() -> HTMLResponse:
        return page(f"ipamd {__version__}", _BODY)

    application.add_api_route(PATH, welcome, include_in_schema=False, response_class=HTMLResponse)
