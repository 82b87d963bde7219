"""Deliver what waits in the spool: after a call has answered, and of an ADD's own pod before it asks."""

from __future__ import annotations

from cni_plugin import clock, platform
from cni_plugin.failure import UNDECODABLE, Failure
from cni_plugin.scanner import parse_object
from ipam_plugin import destination, leases
from ipam_plugin.answer import HOPELESS, YES
from ipam_plugin.ask import Attempt, ask
from ipam_plugin.spool import request_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipam_plugin.destination import Destination
    from ipam_plugin.spool import Spool

_ENTRIES = 16
_SECONDS = 0.2
_NEWEST = 64
_SHARES = 4  # of an ADD's time, of which its pod's releases may take one
_POD = ("K8S_POD_NAMESPACE", "K8S_POD_NAME")


class _Unreadable(ValueError):
    """A file in the spool is not an entry: nobody can deliver it."""


def deliver(spool: Spool, skip: str, own: Destination | None, seconds: float = _SECONDS) -> None:
    """Try at most 16 entries within a time, from a random place. `skip` was tried a moment ago.

    A call has 200 ms for it, so that its runtime does not wait; the agent has more. `own` is the destination
    of this call: an entry from before the node had a token is sent there with the token. It stops at the
    first connection that fails, because the next would fail too, and at once if another call delivers. What
    cannot be delivered now waits for the next call. Nothing of it changes the answer of this call.
    """
    deadline = clock.after(platform.uptime_ns(), seconds)
    try:
        names = [name for name in spool.names() if name != skip]
        if not names or not spool.is_own():
            return
        lock = spool.lock()
    except (OSError, ValueError):
        return
    if lock is None:
        return
    start = platform.random_number() % len(names)
    try:
        for name in (names[start:] + names[:start])[:_ENTRIES]:
            if deadline.left_ms() == 0 or not _deliver_one(spool, name, own, deadline, len(names)):
                return
    finally:
        platform.close(lock)


def deliver_of_pod(spool: Spool, args: str, own: Destination, deadline: clock.Deadline) -> None:
    """Deliver the releases of a pod, of which `args` tell, before its ADD asks.

    Else ipamd takes the pod's last sandbox for a living one: a sticky pool gives another address, and a quota
    counts both. The runtime asks soon after the last sandbox has gone, so its release is one of the newest.
    It waits for no other call that delivers: ipamd bears a release twice.
    """
    pod = _pod(args)
    limit = deadline.share(_SHARES)
    try:
        if not pod or not spool.is_own():
            return
        names = sorted(spool.names(), reverse=True)
    except (OSError, ValueError):
        return
    for name in names[:_NEWEST]:
        if _is_of(spool, name, pod) and (
            limit.left_ms() == 0 or not _deliver_one(spool, name, own, limit, len(names))
        ):
            return


def _pod(args: str) -> list[str]:
    """Give the pairs of CNI_ARGS that name a pod, none if they do not."""
    found = [pair for pair in args.split(";") if pair.partition("=")[0] in _POD]
    return sorted(found) if len(found) == len(_POD) else []


def _is_of(spool: Spool, name: str, pod: list[str]) -> bool:
    """Tell whether an entry is of a pod."""
    try:
        entry = spool.read(name)
        if any(entry.find(pair.encode()) < 0 for pair in pod):
            return False  # most are of others, and a look at the bytes is cheaper than reading JSON
        asked = parse_object(entry).get("request")
    except (OSError, ValueError):
        return False
    return isinstance(asked, dict) and _pod(str(asked.get("args"))) == pod


def _deliver_one(
    spool: Spool, name: str, own: Destination | None, deadline: clock.Deadline, spooled: int
) -> bool:
    """Deliver an entry if that is possible now. Tells whether the next is worth a try."""
    try:
        entry = spool.read(name)
        if leases.are_here() and _is_released_here(entry):
            return _settle(spool, name, None)
        attempt = _ask(entry, own, deadline, spooled)
    except OSError:
        return True  # delivered by the call that had the lock before
    except ValueError as error:
        refusal = Failure(UNDECODABLE, f"not an entry of the spool: {error}").encode("1.1.0")
        return _settle(spool, name, refusal)
    except Failure:
        return True  # its credentials cannot be used now, or the leases: that may change
    answer = attempt.answer
    if answer is None:
        return not attempt.lost
    if answer.kind == YES:
        return _settle(spool, name, None)
    return _settle(spool, name, answer.body) if answer.code in HOPELESS else True


def _is_released_here(entry: bytes) -> bool:
    """Tell whether the leases of this node had what an entry releases. ValueError, Failure 11."""
    from ipam_plugin.leases import spooled

    return spooled.carry_out(parse_object(entry).get("request"))


def _ask(entry: bytes, own: Destination | None, deadline: clock.Deadline, spooled: int) -> Attempt:
    values = parse_object(entry)
    kept = request_of(entry)
    if not isinstance(values.get("request"), dict) or "endpoint" not in values:
        raise _Unreadable("no request or no endpoint")
    whom = destination.read(values, [], "")
    if own is not None and own.is_but_for_its_token(whom):
        whom = own
    whom.load()
    return ask(whom, "DEL", [], kept, deadline, spooled, clock.now())


def _settle(spool: Spool, name: str, refusal: bytes | None) -> bool:
    """Remove a delivered entry, or set a refused one aside. Tells whether that worked."""
    try:
        if refusal is None:
            spool.drop(name)
        else:
            spool.set_aside(name, refusal)
    except OSError:
        return False
    return True
