"""After a restored database: who is waited for, and the end of that by hand."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from typing_extensions import TypedDict

from ipamd.api.routers.access import TheEngine
from ipamd.models.instant import rfc3339
from ipamd.models.node import NodeKey

router = APIRouter(prefix="/v1/restore", tags=["restore"])


class ShownNodeKey(TypedDict):
    """A node of a cluster."""

    cluster: str
    name: str


class ShownRestore(TypedDict):
    """Since when nodes are waited for, null if they are not.

    `cause` says by what ipamd noticed that its database is an older one, null if an admin said so.
    `silent` nodes have not said yet what lives on them. On `conflicting` ones something uses an address that
    is another's: `POST /v1/check` names it.
    """

    began: str | None
    cause: str | None
    silent: list[ShownNodeKey]
    conflicting: list[ShownNodeKey]


@router.get("")
async def standing(engine: TheEngine) -> ShownRestore:
    """Tell who is waited for after the database was put back."""
    found = await engine.restoring.standing()
    return {
        "began": rfc3339(found.began) if found.began is not None else None,
        "cause": found.cause,
        "silent": list(map(_shown, found.silent)),
        "conflicting": list(map(_shown, found.conflicting)),
    }


@router.post("/finish", status_code=HTTPStatus.NO_CONTENT)
async def finish(engine: TheEngine) -> None:
    """Wait for no more nodes: what lives on those that are silent may be given to others."""
    await engine.restoring.finish()


def _shown(node: NodeKey) -> ShownNodeKey:
    return {"cluster": node.cluster, "name": node.name}
