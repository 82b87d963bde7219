"""What the engine answers."""

from __future__ import annotations

from dataclasses import dataclass

from ipamd.models.address import IPAddress
from ipamd.models.errors import DomainError
from ipamd.models.pool import Pool


@dataclass(frozen=True, slots=True)
class Grant:
    """One address of an answer, with its pool as it is today."""

    address: IPAddress
    pool: Pool


@dataclass(frozen=True, slots=True)
class Granted:
    """All addresses of a request, in the order of its slots; `repeated` when the holder had them before."""

    grants: tuple[Grant, ...]
    repeated: bool


@dataclass(frozen=True, slots=True)
class Released:
    """What a release freed, maybe nothing: a success too. `spared` counts what later calls keep."""

    addresses: tuple[IPAddress, ...]
    spared: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """The request changed nothing, and why."""

    error: DomainError


Outcome = Granted | Released | Refused
