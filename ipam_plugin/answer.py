"""The meaning of a response: only a CNI result and a CNI error object come from ipamd."""

from __future__ import annotations

from cni_plugin.failure import BAD_ENVIRONMENT, INVALID_CONFIGURATION, TOO_LARGE, UNDECODABLE
from cni_plugin.scanner import NotJson, parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cni_plugin.response import Response

YES, REFUSED, BUSY, NONE = "yes", "refused", "busy", "none"
# Codes of a refusal that will be the same however often a release is tried.
HOPELESS = (BAD_ENVIRONMENT, UNDECODABLE, INVALID_CONFIGURATION, TOO_LARGE)


class IpamdAnswer:
    """How ipamd answered, if it was ipamd. `code` is 0 if there was no CNI error object."""

    def __init__(self, kind: str, body: bytes, code: int, msg: str) -> None:
        self.kind = kind
        self.body = body
        self.code = code
        self.msg = msg


def read(verb: str, response: Response) -> IpamdAnswer:
    """Tell success, refusal, "try again" (503), and what ipamd never sends, perhaps a page of a proxy."""
    if response.status == 204:
        return IpamdAnswer(NONE if verb == "ADD" else YES, b"", 0, "HTTP 204")
    try:
        value = parse_object(response.body)
    except NotJson:
        value = {}
    code, msg = value.get("code"), value.get("msg")
    if not isinstance(code, int) or isinstance(code, bool) or code <= 0 or not isinstance(msg, str):
        code, msg = 0, f"HTTP {response.status} without a CNI answer"
    if response.status == 503:
        return IpamdAnswer(BUSY, response.body, code, msg)
    if code:
        return IpamdAnswer(REFUSED, response.body, code, msg)
    if verb == "ADD" and response.status == 200 and _is_result(value):
        return IpamdAnswer(YES, response.body, 0, "")
    return IpamdAnswer(NONE, response.body, 0, msg)


def _is_result(value: dict[str, object]) -> bool:
    addresses = isinstance(value.get("ips"), list)
    families = isinstance(value.get("ip4"), dict) or isinstance(value.get("ip6"), dict)
    return isinstance(value.get("cniVersion"), str) and "code" not in value and (addresses or families)
