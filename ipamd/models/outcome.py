"""The outcomes of the engine."""

from __future__ import annotations

from msgspec import Struct

from ipamd.models.address import IPAddress
from ipamd.models.allocation import written
from ipamd.models.errors import DomainError
from ipamd.models.identity import Digest
from ipamd.models.issued import CallOrder
from ipamd.models.pool import Pool


class Grant(Struct, frozen=True):
    """One address of an answer, or a prefix by its first address, with its pool as it is today."""

    address: IPAddress
    pool: Pool
    prefix_length: int | None = None

    @property
    def written(self) -> str:
        """The address as people read it, or the prefix."""
        return written(self.address, self.prefix_length)


class Granted(Struct, frozen=True):
    """All addresses of a request, in the order of the request. `repeated`: the holder had them before."""

    grants: tuple[Grant, ...]
    repeated: bool


class Released(Struct, frozen=True):
    """What a release freed. To free nothing is a success too. `spared` counts what later calls keep."""

    addresses: tuple[IPAddress, ...]
    spared: int = 0


class Reported(Struct, frozen=True):
    """What became of a node's events, up to `acknowledged`.

    Those of an older epoch or another store are not `obeyed`. `unknown` are seats that the node has no more.
    `overtaken` are holders whose DEL came before their begin: its order, and whether it is an undo.
    """

    acknowledged: int
    obeyed: bool
    unknown: tuple[int, ...] = ()
    overtaken: tuple[tuple[Digest, CallOrder, bool], ...] = ()


class Refused(Struct, frozen=True):
    """The request changed nothing, and why."""

    error: DomainError


Outcome = Granted | Released | Reported | Refused
