"""`POST /v1/explain`: which addresses an ADD would get, and why. Nothing is taken."""

from __future__ import annotations

import json
from typing import Any, Final

from fastapi import APIRouter, Request

from ipamd.api.routers.access import TheEngine
from ipamd.api.schemas.explanation import ExplanationDocument, document_of
from ipamd.cni import request
from ipamd.cni.error import CniError
from ipamd.models.errors import InvalidValue
from ipamd.models.explanation import Explanation
from ipamd.models.outcome import Refused

router = APIRouter(prefix="/v1/explain", tags=["explain"])

BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "description": "The body of an ADD, as `POST /v1/cni/add` takes it (docs/cni.md).",
                    "required": ["container_id", "netns", "ifname", "path", "node", "config"],
                }
            }
        },
    }
}


@router.post("", response_model=ExplanationDocument, openapi_extra=BODY)
async def explain(call: Request, engine: TheEngine) -> ExplanationDocument:
    """Explain which addresses an ADD with this body would get, and what each pool says to it.

    Nothing is taken.

    An ADD that would be refused is explained too: `error` is what its plugin would print.
    """
    explanation: Explanation | None = None
    body = await call.body()
    if not body:
        raise InvalidValue("body", "is missing: send that of an ADD")
    try:
        add = request.read_add(body)
        explanation = await engine.explain(add.request)
        outcome = explanation.outcome
        if isinstance(outcome, Refused):
            raise CniError.from_domain(outcome.error).to(add.caller)
        answer = json.loads(add.results.encode(outcome, add.caller.version))
    except CniError as error:
        return document_of(explanation, None, json.loads(error.encode()), False)
    return document_of(explanation, answer, None, outcome.repeated)
