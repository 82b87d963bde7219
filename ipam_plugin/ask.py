"""Ask a destination once: its endpoints in order, until one answers."""

from __future__ import annotations

from cni_plugin import VERSION, http
from cni_plugin.failure import BadPem
from ipam_plugin import answer, request
from ipam_plugin.answer import REFUSED, YES, IpamdAnswer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cni_plugin.clock import Deadline, Moment
    from ipam_plugin.destination import Destination


_NO_TLS = (b"", b"", b"")


class Attempt:
    """One attempt at all endpoints of a destination, in turn, and what came of it.

    `answer` is a success or a refusal, None if nobody gave one; then `why` says what was seen instead.
    `doubtful` says that ipamd may have got a request whose end nobody knows. `lost` says that the last
    connection failed.
    """

    def __init__(self) -> None:
        self.answer: IpamdAnswer | None = None
        self.why: list[str] = []
        self.doubtful = False
        self.lost = False


def ask(
    whom: Destination,
    verb: str,
    trace: list[tuple[str, str]],
    kept: bytes,
    deadline: Deadline,
    spooled: int | None,
    delivered: Moment | None = None,
) -> Attempt:
    """Ask for a verb with the lasting part of a request. Failure if credentials cannot be used."""
    attempt = Attempt()
    path = f"/v1/cni/{verb.lower()}"
    headers = _headers(whom, trace)
    tls = whom.credentials.tls() if whom.uses_tls else _NO_TLS
    is_only = len(whom.endpoints) == 1
    for position, one in enumerate(whom.endpoints):
        limit = deadline.share(len(whom.endpoints) - position)
        if limit.left_ms() == 0:  # ipamd refuses a call that has no time, which would set a release aside
            attempt.why.append(f"{one.text}: no time left")
            attempt.lost = True
            break
        body = request.complete(kept, limit, spooled, delivered)
        try:
            response = http.post(one, path, headers, body, limit, tls=tls, is_only=is_only)
        except BadPem as bad:
            attempt.why.append(f"{one.text}: {bad.key} {whom.credentials.paths[bad.key]} {bad.why}")
            attempt.lost = True
            continue
        except http.Lost as lost:
            attempt.why.append(str(lost))
            attempt.doubtful = attempt.doubtful or lost.sent
            attempt.lost = True
            continue
        attempt.lost = False
        got = answer.read(verb, response)
        if got.kind in (YES, REFUSED):
            attempt.answer = got
            return attempt
        attempt.why.append(f"{one.text}: {got.msg}")
        attempt.doubtful = attempt.doubtful or got.code == 0
    return attempt


def _headers(whom: Destination, trace: list[tuple[str, str]]) -> list[tuple[str, str]]:
    headers = [("user-agent", f"ipamd-ipam/{VERSION}"), ("content-type", "application/json")]
    token = whom.credentials.token()
    if token:
        headers.append(("authorization", f"Bearer {token}"))
    return headers + trace
