"""Scripts, styles and the like, which anybody may have and a browser may keep."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.responses import FileResponse, Response
from starlette.types import Scope

from ipamd.web.rendering import FOLDERS, HEADERS

PREFIX: Final = "/ui/static/"
_TYPES: Final = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
_KEPT: Final = {**HEADERS, "Cache-Control": "public, max-age=31536000, immutable"}


def serve(scope: Scope) -> Response:
    """The file that a request names."""
    name = scope["path"].removeprefix(PREFIX)
    for folder in FOLDERS:
        file = folder / name
        if "/" not in name and file.suffix in _TYPES and file.is_file():
            headers = _KEPT if scope["query_string"] else HEADERS
            return FileResponse(file, headers=headers, media_type=_TYPES[file.suffix])
    return Response("there is no such file\n", HTTPStatus.NOT_FOUND, HEADERS, "text/plain")
