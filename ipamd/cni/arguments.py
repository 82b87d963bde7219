"""CNI_ARGS: `KEY=VALUE` pairs between semicolons, held to rules only where they are read.

Runtimes hand on whatever their users wrote (Nomad every `meta` of a job). As in the reference library a key
that is unknown is refused unless `IgnoreUnknown` says that it is meant for others; what it holds is then not
looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ipamd.cni import reading
from ipamd.cni.error import CniError, Code
from ipamd.models.allocation import Workload
from ipamd.models.limits import LONGEST_NAME
from ipamd.models.nearest import nearest

LONGEST_ARGS: Final = 128 << 10
"""As long as the kernel lets one variable be (MAX_ARG_STRLEN)."""

ADDRESSES: Final = "IP"
IGNORE_UNKNOWN: Final = "IgnoreUnknown"
_WORKLOAD: Final = ("K8S_POD_NAMESPACE", "K8S_POD_NAME", "K8S_POD_UID")
_KNOWN: Final = (ADDRESSES, "MAC", IGNORE_UNKNOWN, *_WORKLOAD, "K8S_POD_INFRA_CONTAINER_ID")
"""The keys that are read, and two by convention that are main plugins' and runtimes'."""

_TRUTHS: Final = {"1": True, "true": True, "0": False, "false": False}


def read_args(value: object) -> Mapping[str, str]:
    """The pairs; of a key that comes twice the last counts."""
    if value is None or value == "":
        return {}
    if not isinstance(value, str):
        raise _malformed(reading.shown(value))
    if len(value) > LONGEST_ARGS:
        raise _malformed(f"it has {len(value)} characters, {LONGEST_ARGS} at most")
    pairs = [pair.partition("=") for pair in value.split(";") if pair]
    for key, equals, _ in pairs:
        if not (key and equals):
            raise _malformed(f"{reading.shown(key)} is not KEY=VALUE")
    args = {key: value for key, _, value in pairs}
    if not _ignores_unknown(args):
        for key in args:
            if key not in _KNOWN:
                raise _unknown(key)
    return args


def read_workload(args: Mapping[str, str]) -> Workload:
    """The pod that the runtime names; empty values count as absent."""
    for key in _WORKLOAD:
        value = args.get(key, "")
        if len(value) > LONGEST_NAME:
            raise _malformed(f"{key} is too long: {len(value)} characters, {LONGEST_NAME} at most")
        if not value.isprintable():
            odd = next(character for character in value if not character.isprintable())
            raise _malformed(f"{key} has a character that cannot be printed, {reading.shown(odd)}")
    namespace, name, uid = (args.get(key) or None for key in _WORKLOAD)
    return Workload(namespace, name, uid)


def _ignores_unknown(args: Mapping[str, str]) -> bool:
    given = args.get(IGNORE_UNKNOWN)
    if given is None:
        return False
    truth = _TRUTHS.get(given.lower())
    if truth is None:
        raise _malformed(f"{IGNORE_UNKNOWN} is neither 1, true, 0 nor false: {reading.shown(given)}")
    return truth


def _unknown(key: str) -> CniError:
    near = nearest(key, _KNOWN)
    hint = f"did you mean {near}? " if near is not None else ""
    return CniError(
        Code.BAD_ENVIRONMENT,
        f"env variables [CNI_ARGS] malformed: unknown key {reading.shown(key)}",
        f"{hint}{IGNORE_UNKNOWN}=1 has keys passed over that are meant for others",
    )


def _malformed(why: str) -> CniError:
    return CniError(Code.BAD_ENVIRONMENT, f"env variables [CNI_ARGS] malformed: {why}")
