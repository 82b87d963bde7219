"""What a container asks for that bears on its address: here only whether it does, and ipamd reads what."""

from __future__ import annotations

from cni_plugin import platform
from cni_plugin.scanner import NotJson, parse

ANNOTATIONS = "io.kubernetes.cri.pod-annotations"
_OWN = "ipamd.io/"
_ADDRESSES = "ipamd.io/addresses"
_TRUTHS = ("1", "true", "0", "false")
_POD = ("K8S_POD_NAMESPACE", "K8S_POD_NAME", "K8S_POD_UID")
_OTHERS = ("K8S_POD_INFRA_CONTAINER_ID", "MAC")
_LONGEST_NAME = 253
_AF_INET, _AF_INET6 = 2, 10


def bears_on_the_address(values: dict[str, object], args: str) -> bool:
    """Tell whether a lease must not serve the call: anything is asked, or anything is not known here."""
    if values.get("args"):
        return True
    runtime = values.get("runtimeConfig")
    if runtime:
        if not isinstance(runtime, dict) or runtime.get("ips") or runtime.get("ipRanges"):
            return True
        annotations = runtime.get(ANNOTATIONS)
        if annotations:
            if not isinstance(annotations, dict):
                return True
            for key in annotations:
                if key[: len(_OWN)].lower() == _OWN:
                    return True
    return args != "" and not all(_is_plain(pair) for pair in args.split(";"))


def addresses(values: dict[str, object], args: str, network: str, ifname: str) -> list[str]:
    """Give the requested addresses as they are written, of the first place that names any, as ipamd does."""
    runtime, cni = _object(values.get("runtimeConfig")), _object(_object(values.get("args")).get("cni"))
    annotations = _object(runtime.get(ANNOTATIONS))
    annotation = annotations.get(f"{_ADDRESSES}.{network}")
    if annotation is None and ifname == "eth0":
        annotation = annotations.get(_ADDRESSES)
    pairs = [pair[3:] for pair in args.split(";") if pair.startswith("IP=")]
    for listed in (runtime.get("ips"), cni.get("ips"), pairs[-1] if pairs else "", annotation):
        found = _words(listed)
        if found:
            return found
    return []


def of_result(result: dict[str, object]) -> list[str]:
    """Give the addresses of a result of any version."""
    entries = result.get("ips")
    found = [_object(entry).get("address") for entry in entries] if isinstance(entries, list) else []
    found.extend([_object(result.get(family)).get("ip") for family in ("ip4", "ip6")])
    return [text for text in found if isinstance(text, str)]


def beyond(wanted: list[str], held: list[str]) -> str:
    """Give the first wanted address that is not among the held ones, "" if all are."""
    known = [packed(text) for text in held]
    for text in wanted:
        if packed(text) not in known:
            return text
    return ""


def packed(text: str) -> bytes:
    """Give an address, with or without prefix length, as bytes; its text if it is none."""
    plain = text.partition("/")[0]
    for family in (_AF_INET, _AF_INET6):
        try:
            return platform.inet_bytes(family, plain)
        except (OSError, ValueError):
            continue
    return text.encode()


def _is_plain(pair: str) -> bool:
    """Tell whether a pair of CNI_ARGS is known, and ipamd would not refuse it."""
    key, equals, value = pair.partition("=")
    if pair == "":
        return True
    if key == "IgnoreUnknown":
        return value.lower() in _TRUTHS
    if key in _POD:
        data = value.encode()
        return equals != "" and len(data) <= _LONGEST_NAME and _is_printable(data)
    return equals != "" and key in _OTHERS


def _is_printable(data: bytes) -> bool:
    return not data or (min(data) >= 0x20 and max(data) < 0x7F)


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _words(listed: object) -> list[str]:
    if isinstance(listed, list):
        return [str(entry) for entry in listed]
    if not isinstance(listed, str):
        return []
    if listed.strip().startswith("["):
        try:
            return _words(parse(listed.encode()))
        except NotJson:
            return [listed]
    return [word.strip() for word in listed.split(",") if word.strip()]
