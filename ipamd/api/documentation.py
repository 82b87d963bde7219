"""`/docs`: the description of the API as one page that needs neither the internet nor scripts.

FastAPI's own page loads scripts from elsewhere. Such a script would run with the rights of this host's pages,
and could do here whatever an admin can.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.responses import HTMLResponse

from ipamd.api.page import page


def install(application: FastAPI) -> None:
    """Serve the page."""

    async def docs() -> HTMLResponse:
        description = application.openapi()
        info = description["info"]
        return page(f"{info['title']} {info['version']}", _described(description))

    application.add_api_route("/docs", docs, include_in_schema=False, response_class=HTMLResponse)


def _described(description: Mapping[str, Any]) -> Iterator[str]:
    """An OpenAPI description as lines of HTML."""
    yield f"<p>{escape(description['info']['description'])}</p>"
    yield '<p>For programs: <a href="/openapi.json">openapi.json</a></p>'
    yield "<h2>Requests</h2>"
    yield from _operations(description)
    yield "<h2>Documents</h2>"
    yield from _schemas(description)


def _operations(description: Mapping[str, Any]) -> Iterator[str]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            yield f"<h3><code>{method.upper()} {escape(path)}</code></h3>"
            yield f"<p>{escape(operation.get('description', ''))}</p>"
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            if "schema" in body:
                yield f"<p>Body: {_reference(body['schema'])}</p>"
            if operation.get("parameters"):
                yield "<table>"
                yield from map(_parameter, operation["parameters"])
                yield "</table>"


def _parameter(parameter: Mapping[str, Any]) -> str:
    place = parameter["in"] + (", required" if parameter.get("required") else "")
    about = parameter.get("description", "")
    return f"<tr><td><code>{escape(parameter['name'])}</code><td>{place}<td>{escape(about)}"


def _reference(schema: Mapping[str, Any]) -> str:
    name = schema.get("$ref", "").rpartition("/")[2]
    return f'<a href="#{escape(name)}">{escape(name)}</a>' if name else "JSON"


def _schemas(description: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in description["components"]["schemas"].items():
        yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        yield f"<pre>{escape(json.dumps(schema, indent=1))}</pre></details>"
