"""The admin API, asked in this process by the page on behalf of its visitor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

from starlette.types import ASGIApp, Scope

from ipamd.web.visitor import Visitor
from ipamd.web.within import answered

Query = Mapping[str, str | int | None]
_TITLED: Final = {
    401: "You are not signed in",
    403: "Not allowed",
    404: "Not found",
    412: "Changed meanwhile",
}


class Refused(Exception):
    """The admin API refused a request.

    `detail` is its sentence, `fields` what is wrong with which field, `conflicts` what else was refused with
    it, each with its reason.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code", "internal"))
        self.detail = str(problem.get("detail", "ipamd failed on this request: its log has the details"))
        self.fields = {str(each["field"]): str(each["why"]) for each in problem.get("errors", ())}
        self.conflicts = [(str(each["what"]), str(each["why"])) for each in problem.get("refusals", ())]
        super().__init__(self.detail)

    @property
    def title(self) -> str:
        return _TITLED.get(self.status, "Refused" if self.status < 500 else "Not possible now")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the admin API answered."""

    document: Any
    tag: str | None


class Rest:
    """The admin API as one visitor may use it."""

    def __init__(self, application: ASGIApp, visitor: Visitor) -> None:
        self._application = application
        self._headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        if visitor.token is not None:
            self._headers.append((b"authorization", b"Bearer " + visitor.token.encode()))

    async def get(self, path: str, query: Query | None = None) -> Any:
        """Read a document. Raises Refused."""
        return (await self.ask("GET", path, query=query)).document

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request. Raises Refused."""
        given = {name: value for name, value in (query or {}).items() if value not in (None, "")}
        content = b"" if body is None else json.dumps(body).encode()
        answer = await answered(
            self._application,
            self._scope(method, path, urlencode(given), len(content), headers or {}),
            content,
        )
        document = json.loads(answer.body) if answer.body else None
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise Refused(answer.status, document if isinstance(document, dict) else {})
        tag = answer.headers.get(b"etag")
        return Answer(document, tag.decode() if tag is not None else None)

    def _scope(self, method: str, path: str, query: str, length: int, headers: Mapping[str, str]) -> Scope:
        others = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": quote(path, safe="/%").encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [*self._headers, (b"content-length", str(length).encode()), *others],
            "client": ("page", 0),
            "server": ("localhost", 80),
        }
