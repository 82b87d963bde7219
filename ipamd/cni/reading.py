"""Read decoded JSON strictly: get the value, or an error that names key and value."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from ipamd.cni.error import CniError, Code, invalid
from ipamd.models.address import AddressRange, IPAddress, IPNetwork, parse_address, parse_network
from ipamd.models.host_address import why_no_host
from ipamd.models.limits import LONGEST_NAME, POOL_NAME
from ipamd.models.nearest import nearest

LONGEST_QUOTE: Final = 80

# Each call brings the same routes of its network. Reading them anew takes a third of reading an ADD.
_known_prefix: Final = lru_cache(maxsize=1024)(parse_network)

_PLAIN_KEY: Final = re.compile(r"[!-~]{1,64}")
_POOL_NAME: Final = re.compile(POOL_NAME)


def check_keys(found: Mapping[str, Any], known: Sequence[str], place: str) -> None:
    """Raise if a key is unknown: if it were ignored, nobody would notice the slip."""
    if found.keys() <= frozenset(known):
        return
    key = min(found.keys() - frozenset(known))
    near = nearest(key, known)
    hint = f"did you mean {place}.{near}?" if near is not None else f"known: {', '.join(known)}"
    name = key if _PLAIN_KEY.fullmatch(key) is not None else shown(key)
    raise CniError(Code.UNSUPPORTED_FIELD, f"unsupported field {place}.{name}: {shown(found[key])}; {hint}")


def shown(value: object) -> str:
    """A value as a message quotes it: short, and in ASCII, so that foreign text cannot control a terminal."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        value = value[: LONGEST_QUOTE + 1]
    quoted = json.dumps(value).replace("\x7f", "\\u007f")
    return quoted if len(quoted) <= LONGEST_QUOTE else quoted[:LONGEST_QUOTE] + "..."


def mistyped(key: str, expected: str, value: object) -> CniError:
    """A value of the wrong type."""
    return invalid(key, f"expected {expected}, got {shown(value)}")


def text(value: object, key: str, longest: int = LONGEST_NAME) -> str:
    """A non-empty text of printable characters."""
    if not isinstance(value, str):
        raise mistyped(key, "a string", value)
    if not value:
        raise invalid(key, "is empty: write at least one character")
    if len(value) > longest:
        raise invalid(key, f"{shown(value)} is longer than {longest} characters")
    if not value.isprintable():
        raise invalid(key, f"{shown(value)} has characters that cannot be printed")
    return value


def integer(value: object, key: str, lowest: int, highest: int) -> int:
    """A whole number within bounds; `true` is not one."""
    if type(value) is not int:
        raise mistyped(key, "an integer", value)
    if not lowest <= value <= highest:
        raise invalid(key, f"expected {lowest} to {highest}, got {shown(value)}")
    return value


def boolean(value: object, key: str) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        raise mistyped(key, "true or false", value)
    return value


def listing(value: object, key: str) -> Sequence[Any]:
    """A list. null counts as an empty list: Go encodes it so."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise mistyped(key, "a list", value)
    return value


def mapping(value: object, key: str) -> Mapping[str, Any]:
    """An object. null counts as an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise mistyped(key, "an object", value)
    return value


def address(value: object, key: str) -> IPAddress:
    """One address, without prefix length."""
    written = text(value, key)
    try:
        return parse_address(written)
    except ValueError as error:
        raise invalid(key, str(error)) from None


def host_address(value: object, key: str) -> IPAddress:
    """One address that a host may have, without prefix length."""
    found = address(value, key)
    why = why_no_host(AddressRange(found, found))
    if why is not None:
        raise invalid(key, why)
    return found


def prefix(value: object, key: str) -> IPNetwork:
    """One prefix whose host bits are zero."""
    written = text(value, key)
    try:
        return _known_prefix(written)
    except ValueError as error:
        raise invalid(key, str(error)) from None


def address_of_interface(value: object, key: str) -> IPAddress:
    """The address of an interface, with or without prefix length."""
    written, slash, length = text(value, key).partition("/")
    found = address(written, key)
    plain = (
        length.isascii() and length.isdigit() and len(length) <= 3 and (length == "0" or length[:1] != "0")
    )
    if slash and not (plain and int(length) <= found.max_prefixlen):
        raise invalid(key, f"{shown(value)} has an invalid prefix length")
    return found


def pool_name(value: object, key: str) -> str:
    """The name of a pool: 1-63 letters, digits, `.`, `-` and `_`, the first a letter or digit."""
    name = text(value, key)
    if _POOL_NAME.fullmatch(name) is None:
        raise invalid(
            key, f"{shown(name)} is not the name of a pool: write 1 to 63 letters, digits, `.`, `-` or `_`"
        )
    return name
