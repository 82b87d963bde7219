"""The admin API, asked in this process by the page on behalf of its visitor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx
from starlette.types import ASGIApp

from ipamd.web.visitor import Visitor

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
        headers = {} if visitor.token is None else {"Authorization": f"Bearer {visitor.token}"}
        transport = httpx.ASGITransport(application, raise_app_exceptions=False, client=("page", 0))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)

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
        answer = await self._client.request(
            method,
            path,
            params=given,
            content=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json", **(headers or {})},
        )
        document = answer.json() if answer.content else None
        if answer.is_error:
            raise Refused(answer.status_code, document if isinstance(document, dict) else {})
        return Answer(document, answer.headers.get("etag"))
