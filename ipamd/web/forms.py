"""Forms: which fields each noun has, their texts to JSON as REST takes it, and back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ipamd.models.csv_table import NONE
from ipamd.models.pool import DEFAULT_COOLDOWN, DEFAULT_LEASE, DEFAULT_OWNER_KEEP


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `name` is REST's, with a dot for what lies deeper; `kind` says how its text is read."""

    name: str
    label: str
    kind: str = "text"
    help: str = ""
    choices: tuple[str, ...] = ()
    fixed: bool = False
    """Whether it is given once and never changed."""
    usual: str = ""
    """What a new one has where nothing is chosen."""


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a noun, the path of REST where it is made, and the view that lists them."""

    noun: str
    path: str
    view: str
    fields: tuple[Field, ...]
    note: str = ""


POOL: Final = Form(
    "pool",
    "/v1/pools",
    "/",
    (
        Field("name", "Name", fixed=True),
        Field("subnet", "Subnet", help="Such as 10.64.0.0/16 or fd00:64::/64. It may grow later."),
        Field("space", "Space", help="default, if left out", fixed=True),
        Field("ranges", "Ranges", "lines", "One a line, inside the subnet. None: all of it."),
        Field("exclusions", "Exclusions", "lines", "One a line: an address, a prefix, or first-last."),
        Field("gateway", "Gateway", "gateway", "The first usable address, if left out; or none."),
        Field(
            "gateway_on_link",
            "Gateway outside the subnet",
            "yes or no",
            "Containers get a route to it.",
            usual="no",
        ),
        Field("routes", "Routes", "routes", "One a line: DESTINATION [GATEWAY] [mtu=1400 …]"),
        Field("dns.nameservers", "Name servers", "lines"),
        Field("dns.domain", "Domain"),
        Field("dns.search", "Search domains", "lines"),
        Field("dns.options", "Resolver options", "lines", "One a line, such as ndots:5."),
        Field(
            "block_size", "Block size", "number", "The prefix length of its blocks: 26 or 122, if left out."
        ),
        Field("prefix_length", "Prefix length", "number", "Such as 64: it gives prefixes, and no addresses."),
        Field("affinity", "Affinity", "choice", "", ("any", "node")),
        Field("cooldown", "Cooldown in seconds", "number", f"{DEFAULT_COOLDOWN}, if left out."),
        Field("state", "State", "choice", "A draining pool gives nothing new.", ("active", "draining")),
        Field("priority", "Priority", "number", "Pools with a higher one come first; 0, if left out."),
        Field("auto_assign", "Gives addresses unasked", "yes or no", usual="yes"),
        Field("masquerade", "Masquerade", "yes or no", usual="no"),
        Field(
            "borrow",
            "Borrow",
            "yes or no",
            "With affinity node: single addresses of another's block.",
            usual="yes",
        ),
        Field(
            "lease",
            "Lease",
            "number",
            f"Free addresses that a node may hold in advance; {DEFAULT_LEASE}, if left out.",
        ),
        Field(
            "sticky",
            "Sticky",
            "yes or no",
            "A workload that comes back gets the address that it had.",
            usual="no",
        ),
        Field(
            "owner_keep",
            "Owner keep in seconds",
            "number",
            f"How long an owner keeps its address without a pod; {DEFAULT_OWNER_KEEP}, if left out.",
        ),
        Field("selectors.clusters", "Only for clusters", "lines"),
        Field("selectors.networks", "Only for networks", "lines"),
        Field("selectors.nodes", "Only for nodes", "lines"),
        Field("selectors.node_labels", "Only for nodes with labels", "pairs", "One a line: KEY=VALUE"),
        Field("selectors.namespaces", "Only for namespaces", "lines"),
    ),
)
HOLDER: Final = (
    Field("owner", "Owner", help="A VM, a device, a load balancer."),
    Field("namespace", "Namespace", help="Of a workload, together with its name."),
    Field("name", "Workload"),
)
RESERVATION: Final = Form(
    "reservation",
    "/v1/reservations",
    "/ui/reservations",
    (
        Field("address", "Addresses", help="An address, a prefix, or first-last."),
        Field("space", "Space", help="default, if left out"),
        *HOLDER,
        Field("note", "Note"),
    ),
    "Name an owner, or a workload; nobody gets the addresses if you name none.",
)
QUOTA: Final = Form(
    "quota",
    "/v1/quotas",
    "/ui/quotas",
    (
        Field("name", "Name", fixed=True),
        Field("limit", "Limit", "number", "How many addresses of each family."),
        Field("namespaces", "Namespaces", "lines", "One a line: a name, a beginning such as team-*, or *."),
        Field("shared", "They share the limit", "yes or no", "Otherwise each has it for itself.", usual="no"),
        Field("clusters", "Only in clusters", "lines"),
        Field("family", "Only of family", "number", "4 or 6."),
        Field("pool", "Only of pool"),
        Field("space", "Only of space"),
    ),
    "What is used already counts. Nothing is freed if that is more than the limit.",
)
HOLD: Final = Form(
    "hold",
    "/v1/holds",
    "/ui/holds",
    (
        Field("name", "Name", fixed=True),
        Field("size", "Addresses", "number", "How many: all of them are kept, or none.", fixed=True),
        Field("pool", "Pool", fixed=True),
        Field("namespaces", "Namespaces", "lines", "One a line: a name, a beginning such as team-*, or *."),
        Field("workloads", "Only for pods", "lines", "One a line: a name, or a beginning such as web-*."),
        Field("clusters", "Only in clusters", "lines"),
        Field("seconds", "Seconds", "number", "For how long, from its beginning: 7200 are two hours."),
    ),
    "Pods that match take from it first. What is left comes back at the end.",
)
ALLOCATION: Final = Form(
    "allocation",
    "/v1/allocations",
    "/ui/allocations",
    (
        Field("pool", "Pool", help="Any that gives addresses unasked, if left out."),
        Field("address", "Address", help="The next one, if left out."),
        Field("prefix_length", "Prefix length", "number", "Such as 28: a prefix, and not one address."),
        Field("space", "Space"),
        *HOLDER,
        Field("cluster", "Cluster"),
        Field("node", "Node"),
    ),
    "For what is no container. Containers get theirs from their runtime.",
)
OWNER: Final = Form(
    "owner",
    "/v1/owners",
    "/ui/owners",
    (
        Field("name", "Name", help="As its pods name it: ipamd.io/owner."),
        Field("namespace", "Namespace"),
        Field("cluster", "Cluster", help="default, if left out"),
        Field("pool", "Pool", help="Any that gives addresses unasked, if left out."),
        Field("address", "Address", help="The next one, if left out."),
        Field("space", "Space"),
        Field("node", "Node", help="Whose block it is to come from."),
    ),
    "It has its address before its first pod starts, and keeps it until a pod has had it and is gone.",
)
TOKEN: Final = Form(
    "token",
    "/v1/tokens",
    "/ui/tokens",
    (
        Field("role", "Role", "choice", "", ("reader", "admin", "node", "join")),
        Field("name", "Name", help="It appears in log and history."),
        Field("cluster", "Cluster", help="Of a node or join token."),
        Field("node", "Node", help="Of a node token."),
        Field("expires", "Expires", help="Such as 2027-01-31T12:00:00Z. Never, if left out."),
    ),
    "The first token ends that everybody on this machine may do everything: keep it before you go on.",
)
LABELS: Final = Field("labels", "Labels", "pairs", "One a line: KEY=VALUE")
NODE: Final = Form("node", "/v1/nodes", "/ui/nodes", (LABELS,))
NEW_NODE: Final = Form(
    "node",
    "/v1/nodes",
    "/ui/nodes",
    (Field("cluster", "Cluster", help="default, if left out"), Field("name", "Name"), LABELS),
    "A node is known once it calls. If it is made before that, its first container finds its labels.",
)
SPOKEN: Final = {"true": "yes", "false": "no"}
FORMS: Final = {form.noun: form for form in (POOL, RESERVATION, QUOTA, HOLD, ALLOCATION, OWNER, TOKEN)}

Texts = Mapping[str, str]
Difference = tuple[str, list[str], list[str]]
"""The label of a field, its lines before and after."""


def body_of(form: Form, texts: Texts) -> dict[str, Any]:
    """What a filled form asks REST for, without what was left out."""
    body: dict[str, Any] = {}
    for field in form.fields:
        text = texts.get(field.name, "").strip()
        if text:
            _put(body, field.name, _READ[field.kind](text))
    return body


def patch_of(form: Form, texts: Texts, was: Texts) -> dict[str, Any]:
    """What a form changes, as a merge patch: null for what was emptied."""
    patch: dict[str, Any] = {}
    for field in form.fields:
        text, before = plain(texts.get(field.name, "")), plain(was.get(field.name, ""))
        if text != before and not field.fixed:
            _put(patch, field.name, _READ[field.kind](text) if text else None)
    return patch


def texts_of(form: Form, document: Mapping[str, Any]) -> dict[str, str]:
    """A document as the texts of a form."""
    return {field.name: _WRITE[field.kind](_get(document, field.name)) for field in form.fields}


def shown(form: Form, document: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """A document for reading: each field that says anything, with its lines."""
    texts = texts_of(form, document)
    return [(field.label, _spoken(field, texts[field.name])) for field in form.fields if texts[field.name]]


def differences(form: Form, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """The fields in which two documents differ, with their lines before and after."""
    was, now = texts_of(form, before) if before else {}, texts_of(form, after) if after else {}
    return [
        (field.label, _spoken(field, was.get(field.name, "")), _spoken(field, now.get(field.name, "")))
        for field in form.fields
        if was.get(field.name, "") != now.get(field.name, "")
    ]


def _spoken(field: Field, text: str) -> list[str]:
    return [SPOKEN.get(text, text)] if field.kind == "yes or no" else text.split("\n") if text else []


def by_field(form: Form, wrong: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What is wrong, beside its field; and what belongs to none."""
    beside: dict[str, str] = {}
    others: list[str] = []
    for where, why in wrong.items():
        near = [
            field.name
            for field in form.fields
            if where == field.name or where.startswith((f"{field.name}[", f"{field.name}."))
        ]
        if near:
            beside[max(near, key=len)] = why
        else:
            others.append(f"{where}: {why}")
    return beside, others


def plain(text: str) -> str:
    """A text without what a browser does to it: line ends, blanks around it."""
    return text.replace("\r\n", "\n").strip()


def _put(body: dict[str, Any], name: str, value: Any) -> None:
    *above, last = name.split(".")
    for part in above:
        body = body.setdefault(part, {})
    body[last] = value


def _get(document: Mapping[str, Any], name: str) -> Any:
    found: Any = document
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _number(text: str) -> int | str:
    """A number; other text as it is, for REST to refuse in its words."""
    return int(text) if text.lstrip("-").isdecimal() and text.isascii() else text


def _truth(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text, text)


def _pairs(text: str) -> dict[str, str]:
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in _lines(text))}


def _routes(text: str) -> list[dict[str, Any]]:
    return [_route(line.split()) for line in _lines(text)]


def _route(words: Sequence[str]) -> dict[str, Any]:
    route: dict[str, Any] = {"dst": words[0]}
    for word in words[1:]:
        key, equals, value = word.partition("=")
        route |= {key: _number(value)} if equals else {"gw": word}
    return route


def _route_text(route: Mapping[str, Any]) -> str:
    numbers = [f"{key}={value}" for key, value in route.items() if key not in ("dst", "gw")]
    return " ".join([route["dst"], *([route["gw"]] if route.get("gw") else []), *numbers])


def _text(value: Any) -> str:
    return "" if value is None else str(value)


_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "text": str,
    "choice": str,
    "number": _number,
    "yes or no": _truth,
    "gateway": lambda text: None if text == NONE else text,
    "lines": _lines,
    "pairs": _pairs,
    "routes": _routes,
}
_WRITE: Final[Mapping[str, Callable[[Any], str]]] = {
    "text": _text,
    "choice": _text,
    "number": _text,
    "yes or no": lambda value: _text(value).lower(),
    "gateway": lambda value: NONE if value is None else str(value),
    "lines": lambda value: "\n".join(value or ()),
    "pairs": lambda value: "\n".join(f"{key}={each}" for key, each in (value or {}).items()),
    "routes": lambda value: "\n".join(map(_route_text, value or ())),
}
