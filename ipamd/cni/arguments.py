"""CNI_ARGS: `KEY=VALUE` pairs, separated by semicolons. Only values that ipamd reads are checked.

Runtimes pass on whatever their users wrote (Nomad every `meta` of a job). As in the reference library an
unknown key is refused, unless `IgnoreUnknown` says that it is for others. Then its value is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ipamd.cni import reading
from ipamd.cni.error import CniError, Code
from ipamd.models.allocation import Workload
from ipamd.models.limits import LONGEST_NAME
from ipamd.models.nearest import nearest

LONGEST_ARGS: Final = 128 << 10
"""The longest variable that the kernel allows (MAX_ARG_STRLEN)."""

ADDRESSES: Final = "IP"
IGNORE_UNKNOWN: Final = "IgnoreUnknown"
_NAMESPACE: Final = "K8S_POD_NAMESPACE"
_NAME: Final = "K8S_POD_NAME"
_UID: Final = "K8S_POD_UID"
_KNOWN: Final = (
    *(ADDRESSES, "MAC", IGNORE_UNKNOWN),
    *(_NAMESPACE, _NAME, _UID, "K8S_POD_INFRA_CONTAINER_ID"),
)
"""The keys that ipamd reads, and two that by convention are for main plugins and runtimes."""

_TRUTHS: Final = {"1": True, "true": True, "0": False, "false": False}


def read_args(value: object) -> Mapping[str, str]:
    """The pairs. If a key comes twice, its last value counts."""
    if value is None or value == "":
        return {}
    if not isinstance(value, str):
        raise _malformed(reading.shown(value))
    if len(value) > LONGEST_ARGS:
        raise _malformed(f"it has {len(value)} characters; at most {LONGEST_ARGS} are allowed")
    pairs = [pair.split("=", 1) for pair in value.split(";") if pair]
    try:
        args = dict(pairs)
    except ValueError:
        raise _no_pair(pairs) from None
    if "" in args:
        raise _no_pair(pairs)
    if args.get(IGNORE_UNKNOWN) != "1" and not _ignores_unknown(args):
        for key in args:
            if key not in _KNOWN:
                raise _unknown(key)
    return args


def read_workload(args: Mapping[str, str]) -> Workload:
    """The pod, as the runtime names it. Empty values count as absent."""
    return Workload(
        _readable(_NAMESPACE, args.get(_NAMESPACE)),
        _readable(_NAME, args.get(_NAME)),
        _readable(_UID, args.get(_UID)),
    )


def _no_pair(pairs: Iterable[list[str]]) -> CniError:
    """The error for the first of the parts that is no pair."""
    key = next(pair[0] for pair in pairs if len(pair) == 1 or not pair[0])
    return _malformed(f"{reading.shown(key)} is not KEY=VALUE")


def _readable(key: str, value: str | None) -> str | None:
    if not value:
        return None
    if len(value) > LONGEST_NAME:
        raise _malformed(f"{key} has {len(value)} characters; at most {LONGEST_NAME} are allowed")
    if not value.isprintable():
        odd = next(character for character in value if not character.isprintable())
        raise _malformed(f"{key} has a character that cannot be printed, {reading.shown(odd)}")
    return value


def _ignores_unknown(args: Mapping[str, str]) -> bool:
    given = args.get(IGNORE_UNKNOWN)
    if given is None:
        return False
    truth = _TRUTHS.get(given.lower())
    if truth is None:
        raise _malformed(f"{IGNORE_UNKNOWN} is {reading.shown(given)}: write 1, true, 0 or false")
    return truth


def _unknown(key: str) -> CniError:
    near = nearest(key, _KNOWN)
    hint = f"did you mean {near}? " if near is not None else ""
    return CniError(
        Code.BAD_ENVIRONMENT,
        f"env variables [CNI_ARGS] malformed: unknown key {reading.shown(key)}",
        f"{hint}with {IGNORE_UNKNOWN}=1 unknown keys are ignored",
    )


def _malformed(why: str) -> CniError:
    return CniError(Code.BAD_ENVIRONMENT, f"env variables [CNI_ARGS] malformed: {why}")
