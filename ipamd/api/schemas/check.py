"""A check as JSON: the request and its findings."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from ipamd.api.schemas.text import Document
from ipamd.models.finding import Finding

DEFAULT_SILENT_DAYS = 7
MOST_DAYS = 36500


class NewCheck(Document):
    """Which portion to check."""

    cursor: Annotated[str, Field(max_length=2048)] | None = Field(
        None, description="What `next` of the portion before said."
    )
    silent_days: Annotated[int, Field(ge=0, le=MOST_DAYS)] = Field(
        DEFAULT_SILENT_DAYS,
        description="A node that holds addresses and was not heard from for so long is a finding; 0: never.",
    )


class NewRepair(NewCheck):
    """Which portion to check and repair."""

    trust_clock: bool = Field(
        False,
        description="The service's clock is right: history is dropped by it, however far it is ahead of the "
        "time that was counted.",
    )


class ShownFinding(TypedDict):
    """A finding as it is shown. Fields that do not apply are null."""

    kind: str
    what: str
    space: str | None
    pool: str | None
    block: str | None
    address: str | None
    allocation: int | None
    repairable: bool
    repaired: bool


class PortionDocument(BaseModel):
    """The findings in some blocks and allocations. `next` is the cursor of the next portion."""

    items: list[ShownFinding]
    blocks: int
    allocations: int
    next: str | None


def document_of(finding: Finding) -> ShownFinding:
    """A finding as it is shown."""
    return {
        "kind": finding.kind.value,
        "what": finding.what,
        "space": finding.space,
        "pool": finding.pool,
        "block": str(finding.block) if finding.block is not None else None,
        "address": str(finding.address) if finding.address is not None else None,
        "allocation": finding.allocation,
        "repairable": finding.repairable,
        "repaired": finding.repaired,
    }
