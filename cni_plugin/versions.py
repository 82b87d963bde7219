"""The versions of the CNI specification that our plugins support."""

from __future__ import annotations

from cni_plugin.failure import INCOMPATIBLE_VERSION, INVALID_CONFIGURATION, Failure
from cni_plugin.quoting import quote, show

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
FIRST, NEWEST = VERSIONS[0], VERSIONS[-1]
_FIRST_WITH = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}


def version(configuration: dict[str, object]) -> str:
    """Give the configuration's cniVersion, whatever it is; Failure 7 if it is no text.

    libcni writes an empty one if the list has none: that is the first version too.
    """
    given = configuration.get("cniVersion")
    if given is None:  # Go reads null as an empty text
        return FIRST
    if not isinstance(given, str):
        raise Failure(INVALID_CONFIGURATION, f"cniVersion: must be a text, not {show(given)}")
    return given or FIRST


def check(configuration: dict[str, object], verb: str) -> None:
    """Refuse a version that we do not support, or that does not have the verb. Failure 1 or 7.

    DEL has no result: whatever its version is, the container can end.
    """
    if verb == "DEL":
        return
    given = version(configuration)
    if given not in VERSIONS:
        raise Failure(
            INCOMPATIBLE_VERSION,
            f"cniVersion {show(given)} is not supported",
            f"supported: {', '.join(VERSIONS)}",
        )
    if VERSIONS.index(given) < VERSIONS.index(_FIRST_WITH.get(verb, FIRST)):
        raise Failure(INCOMPATIBLE_VERSION, f"config version does not allow {verb}")


def speaking(configuration: dict[str, object]) -> str:
    """Give the version of error objects: the configuration's if we support it, else the newest."""
    given = configuration.get("cniVersion")
    if given is None or given == "":
        return FIRST
    return given if isinstance(given, str) and given in VERSIONS else NEWEST


def encode(given: str) -> bytes:
    """Give the answer to VERSION, in whatever version the question came."""
    supported = ",".join([quote(one) for one in VERSIONS])
    return f'{{"cniVersion":{quote(given)},"supportedVersions":[{supported}]}}'.encode()
