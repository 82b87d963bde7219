"""An entry of the catalogue as the change log has it: the fields of REST, and no secret. Pure."""

from __future__ import annotations

from typing import NamedTuple

from ipamd.models.catalogue import Entry
from ipamd.models.change_log import Description, LogKind
from ipamd.models.documents import (
    hold_document,
    pool_document,
    quota_document,
    reservation_document,
    settings_document,
    token_document,
)
from ipamd.models.hold import Hold
from ipamd.models.instant import rfc3339
from ipamd.models.node import SHUT_OUT, Node
from ipamd.models.pod_network import PodNetwork
from ipamd.models.pool import Pool
from ipamd.models.quota import Quota
from ipamd.models.reservation import Reservation
from ipamd.models.restoration import Restoration
from ipamd.models.token import Token


class Described(NamedTuple):
    """What an entry is, how people call it, and what it says."""

    kind: LogKind
    name: str
    description: Description


def described(entry: Entry) -> Described:
    """Describe an entry.

    Of a node these are its labels, that it joined, whether it drains, and since when its cluster does not
    have it any more: what it publishes is no decision of anybody's.
    """
    match entry:
        case Pool():
            return Described(LogKind.POOL, entry.name, pool_document(entry))
        case Reservation():
            return Described(LogKind.RESERVATION, str(entry.addresses), reservation_document(entry))
        case Quota():
            return Described(LogKind.QUOTA, entry.name, quota_document(entry))
        case Hold():
            return Described(LogKind.HOLD, entry.name, hold_document(entry))
        case Node():
            return Described(LogKind.NODE, f"{entry.cluster}/{entry.name}", _node(entry))
        case Token():
            return Described(LogKind.TOKEN, str(entry.id), token_document(entry))
        case PodNetwork():
            return Described(LogKind.NETWORK, entry.cluster, settings_document(entry))
        case Restoration():
            waits = {"waits": entry.began is not None, "cause": entry.cause}
            return Described(LogKind.RESTORE, entry.timeline, waits)


def _node(node: Node) -> Description:
    return {
        "cluster": node.cluster,
        "name": node.name,
        "labels": dict(node.labels),
        "joined": node.proof not in (None, SHUT_OUT),
        "draining": node.draining,
        "gone_since": rfc3339(node.gone_since) if node.gone_since is not None else None,
    }
