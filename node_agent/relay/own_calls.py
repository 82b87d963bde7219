"""The agent's own calls to ipamd, with the node's token, and what ipamd says if it refuses one."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from node_agent.relay.membership import Membership
from node_agent.relay.upstream import Refused, Response, Upstream

T = TypeVar("T")


class OwnCalls:
    """What a part of the agent asks ipamd for itself."""

    def __init__(self, upstream: Upstream, membership: Membership) -> None:
        self._upstream = upstream
        self._membership = membership

    async def ask(self, method: str, path: str, body: bytes, seconds: float) -> Response:
        """Ask with a JSON body, or with none if it is empty. Raises Silent."""
        headers = {"content-type": "application/json"} if body else {}
        if self._membership.token:
            headers["authorization"] = f"Bearer {self._membership.token}"
        answer = await self._upstream.ask(method, path, headers, body, seconds)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self._membership.was_refused()
        return answer


def decoded(decoder: msgspec.json.Decoder[T], answer: Response) -> T:
    """An answer as a value. Raises Refused if it cannot be read."""
    try:
        return decoder.decode(answer.body)
    except ValueError as error:
        raise Refused(f"ipamd's answer cannot be read: {error}") from None


def problem_of(answer: Response) -> dict[str, Any]:
    """The problem document of a refusal, empty if it is none: a proxy answers with a page."""
    try:
        problem = json.loads(answer.body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def sentence_of(answer: Response) -> str:
    """What a refusal says, or at least its status."""
    problem = problem_of(answer)
    return str(problem.get("detail") or problem.get("title") or f"status {answer.status}")
