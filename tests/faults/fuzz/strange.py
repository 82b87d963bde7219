"""Documents that are nearly right, and bytes that are nearly documents."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as some

Document = dict[str, Any]
Place = tuple[Any, Any]  # what has a part, and the key or number of that part

PLAUSIBLE = (
    "10.0.0.5",
    "fd00::1",
    "10.0.0.5/24",
    "10.0.0.0/99",
    "::ffff:10.0.0.5",
    "fe80::1%eth0",
    "a,b",
    '["a"]',
    "eth0",
    "pods",
    "IP=10.0.0.9",
    "K8S_POD_NAME=x;K8S_POD_NAMESPACE=y",
    "1.1.0",
    "0.1.0",
    "9.9.9",
    "../..",
    "\N{DIGIT ONE}",
    "\N{ARABIC-INDIC DIGIT FIVE}",
    "x" * 5000,
    "\0",
    "\r\nX: y",
    "\x1b[31m",
    "<script>",
    "'; DROP TABLE block; --",
)
KEYS = [
    "ips",
    "cni",
    "pools",
    "routes",
    "dns",
    "dst",
    "gw",
    "nameservers",
    "mtu",
    "priority",
    "table",
    "scope",
    "boot",
    "uptime_ns",
    "time",
    "address",
    "ip",
    "containerID",
    "ifname",
    "io.kubernetes.cri.pod-annotations",
    "ipamd.io/pools",
    "ipamd.io/addresses",
    "args",
    "netns_id",
    "cluster",
    "issued",
    "delivered",
    "undo",
    "spooled",
    "timeout",
    "runtimeConfig",
    "prevResult",
    "ipam",
    "type",
    "status",
    "capabilities",
    "cni.dev/valid-attachments",
]
BYTES = (
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 400,
    b"[" * 20_000,
    b'{"":',
    b"}",
    b",",
    b'"',
    b"\\",
    b"//",
    b"\xef\xbb\xbf",
    b"\xff\xfe{\0}\0",
)

texts = some.text(max_size=20) | some.sampled_from(PLAUSIBLE)
numbers = (
    some.integers() | some.sampled_from([0, -1, 1 << 31, 1 << 32, 1 << 63, 1 << 64, 10**30]) | some.floats()
)
many = some.sampled_from(["10.0.0.0/24", "pods", {}, []]).map(lambda one: [one] * 300)
values = some.recursive(
    some.none() | some.booleans() | numbers | texts | many,
    lambda inner: (
        some.lists(inner, max_size=4) | some.dictionaries(some.sampled_from(KEYS) | texts, inner, max_size=4)
    ),
    max_leaves=10,
)


def _places(value: Any) -> Iterator[Place]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield value, key
        yield from _places(part)


@some.composite
def mangled(draw: some.DrawFn, right: Document) -> Document:
    """A right document of which some parts are others, or missing, or more."""
    document = copy.deepcopy(right)
    for _ in range(draw(some.integers(0, 3))):
        places = list(_places(document))[:200]
        whole, key = draw(some.sampled_from(places)) if places else (document, "x")
        match draw(some.sampled_from(("replace", "remove", "add"))):
            case "replace":
                whole[key] = draw(values)
            case "remove":
                whole.pop(key, None) if isinstance(whole, dict) else whole.pop(key)
            case "add" if isinstance(whole, dict):
                whole[draw(some.sampled_from(KEYS) | texts)] = draw(values)
            case "add" if isinstance(whole, list):
                whole.append(draw(values))
    return document


@some.composite
def nearly(draw: some.DrawFn, right: bytes) -> bytes:
    """Right bytes with a piece cut out, or with something strange put in."""
    begin = draw(some.integers(0, len(right)))
    end = draw(some.integers(begin, min(len(right), begin + 40)) | some.just(len(right)))
    return right[:begin] + draw(some.sampled_from(BYTES) | some.binary(max_size=10)) + right[end:]


@some.composite
def nearly_json(draw: some.DrawFn, right: Document) -> bytes:
    """A document as a sender might get it wrong."""
    match draw(some.sampled_from(("as it is", "mangled", "mangled", "mangled", "broken", "bytes"))):
        case "as it is":
            return json.dumps(right).encode()
        case "mangled":
            return json.dumps(draw(mangled(right)), ensure_ascii=draw(some.booleans())).encode(
                errors="surrogatepass"
            )
        case "broken":
            return draw(nearly(json.dumps(right).encode()))
        case _:
            return draw(some.binary(max_size=100))
