"""What every router needs: the engine, the principal that asks, and the form of a page."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar, cast

from fastapi import Depends, Path, Request
from pydantic import BaseModel

from ipamd.api.access import PRINCIPAL
from ipamd.api.schemas.text import Number
from ipamd.engine.catalogue import Catalogue
from ipamd.engine.engine import Engine
from ipamd.models.token import Principal

T = TypeVar("T")


def _engine(request: Request) -> Engine:
    return cast(Engine, request.app.state.engine)


TheEngine = Annotated[Engine, Depends(_engine)]


def _asker(request: Request) -> Principal | None:
    return cast("Principal | None", request.scope.get(PRINCIPAL))


Asker = Annotated[Principal | None, Depends(_asker)]
"""The principal that asks, None while ipamd has no tokens."""


async def _catalogue(engine: TheEngine) -> Catalogue:
    return await engine.refresh()


CurrentCatalogue = Annotated[Catalogue, Depends(_catalogue)]
"""The catalogue as it is in the database now. So an admin reads what another replica has just written."""

RowId = Annotated[Number, Path(ge=1, le=(1 << 63) - 1)]


class Page(BaseModel, Generic[T]):
    """A page of a list; `next` is the cursor of the next one, null on the last."""

    items: list[T]
    next: str | None
