"""The outcomes of the engine."""

from __future__ import annotations

from msgspec import Struct

from ipamd.models.address import IPAddress
from ipamd.models.errors import DomainError
from ipamd.models.pool import Pool


class Grant(Struct, frozen=True):
    """One address of an answer, with its pool as it is today."""

    address: IPAddress
    pool: Pool


class Granted(Struct, frozen=True):
    """All addresses of a request, in the order of the request. `repeated`: the holder had them before."""

    grants: tuple[Grant, ...]
    repeated: bool


class Released(Struct, frozen=True):
    """What a release freed. To free nothing is a success too. `spared` counts what later calls keep."""

    addresses: tuple[IPAddress, ...]
    spared: int = 0


class Refused(Struct, frozen=True):
    """The request changed nothing, and why."""

    error: DomainError


Outcome = Granted | Released | Refused
