"""What an ADD would get, as JSON."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ipamd.models.explanation import Explanation, PoolStanding


class ConsideredDocument(BaseModel):
    """A considered pool. `position` is the place in the answer that it might serve, from 0."""

    pool: str
    position: int | None
    standing: PoolStanding
    why: str


class ExplanationDocument(BaseModel):
    """The answer that an ADD would get, as the plugin would print it: a result, or an error object of CNI.

    `repeated` says that the container already holds these addresses. `unlisted` counts refusing pools that
    are not listed.
    """

    result: dict[str, Any] | None
    error: dict[str, Any] | None
    repeated: bool
    pools: list[ConsideredDocument]
    unlisted: int
    remarks: list[str]


def document_of(
    explanation: Explanation | None,
    result: dict[str, Any] | None,
    error: dict[str, Any] | None,
    repeated: bool,
) -> ExplanationDocument:
    """An explanation with its answer. It is None if the request was wrong before any pool was considered."""
    considered = explanation.considered if explanation is not None else ()
    return ExplanationDocument(
        result=result,
        error=error,
        repeated=repeated,
        pools=[
            ConsideredDocument(pool=each.pool, position=each.position, standing=each.standing, why=each.why)
            for each in considered
        ],
        unlisted=explanation.unlisted if explanation is not None else 0,
        remarks=list(explanation.remarks) if explanation is not None else [],
    )
