"""What cannot be undone: what it would do, in numbers, and how it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from ipamd.web.rendering import grouped, link
from ipamd.web.rest import Refused, Rest


@dataclass(frozen=True, slots=True)
class Consent:
    """What a form asks besides why: a box to tick, REST's field of it, and what else is sent."""

    says: str
    key: str
    body: Mapping[str, str] = field(default_factory=dict)


EVEN_IF_ALIVE: Final = Consent(
    "Do it even if the node called lately, or may still give addresses", "even_if_alive"
)


@dataclass(frozen=True, slots=True)
class Removal:
    """One removal. With `consent` its form asks why too; `then` is the view that follows."""

    title: str
    button: str
    effects: Sequence[str]
    method: str
    path: str
    then: str
    tag: str | None = None
    consent: Consent | None = None

    async def carry_out(self, api: Rest, given: Mapping[str, str]) -> None:
        """Do it. Raises Refused."""
        body = None
        if self.consent is not None:
            agrees = given.get("consent") == "yes"
            body = {**self.consent.body, "why": given.get("why", ""), self.consent.key: agrees}
        tag = given.get("tag")
        await api.ask(self.method, self.path, body, headers={"If-Match": tag} if tag else None)


async def removal_of(api: Rest, named: Mapping[str, str]) -> Removal:
    """What a path of the page names. Raises Refused."""
    if "namespace" in named:
        return await _owner(api, named["cluster"], named["namespace"], named["name"])
    if "cluster" in named:
        return await _of_node(api, named["verb"], named["cluster"], named["name"])
    nouns = {
        "pool": _pool,
        "allocation": _allocation,
        "reservation": _reservation,
        "quota": _quota,
        "hold": _hold,
        "token": _token,
    }
    made = nouns.get(named["noun"])
    if made is None:
        raise Refused(404, {"detail": f"Nothing that is called {named['noun']} can be removed here."})
    return await made(api, quote(named["name"], safe=""))


async def _pool(api: Rest, name: str) -> Removal:
    pool, usage = await api.ask("GET", f"/v1/pools/{name}"), await api.get(f"/v1/pools/{name}/usage")
    held = usage["allocated"] + usage.get("leased", 0) + usage.get("held", 0)
    effects = [
        f"Not given any more: {_number(usage['size'], 'address')} ({pool.document['subnet']}).",
        f"Forgotten: {_number(usage['cooling'], 'address')} that cool down, and the past of all its blocks.",
        "The history of its addresses stays. Its reservations stay too.",
    ]
    if held:
        effects.insert(0, f"Held: {_number(held, 'address')}. It is refused until all are released.")
    return Removal(f"Delete pool {name}", "Delete", effects, "DELETE", f"/v1/pools/{name}", "/", pool.tag)


async def _allocation(api: Rest, number: str) -> Removal:
    row = await api.get(f"/v1/allocations/{number}")
    holder = row["owner"] or row["name"] or row["container_id"]
    effects = [
        f"1 address: {row['address']} is taken from {holder}, which has had it since {row['since']}.",
        "Whoever uses it is not told: make sure that nobody does.",
        "After its cooldown another may get it.",
    ]
    if row["until"] is not None:
        effects = ["0 addresses: it has been released already."]
    view = f"/ui/addresses/{row['address']}?space={quote(row['space'])}"
    return Removal(
        f"Release {row['address']}", "Release", effects, "DELETE", f"/v1/allocations/{number}", view
    )


async def _reservation(api: Rest, number: str) -> Removal:
    kept = await api.ask("GET", f"/v1/reservations/{number}")
    document = kept.document
    holder = document["owner"] or document["name"] or "nobody"
    effects = [
        f"{document['address']} is not kept for {holder} any more. A holder keeps the address that it has."
    ]
    path, view = f"/v1/reservations/{number}", "/ui/reservations"
    return Removal(
        f"End reservation {document['address']}", "End it", effects, "DELETE", path, view, kept.tag
    )


async def _quota(api: Rest, name: str) -> Removal:
    quota = await api.ask("GET", f"/v1/quotas/{name}")
    document = quota.document
    effects = [
        f"The limit of {document['limit']} ends, of which {document['used']} are used.",
        "Nobody loses an address.",
    ]
    title, path = f"Delete quota {document['name']}", f"/v1/quotas/{name}"
    return Removal(title, "Delete", effects, "DELETE", path, "/ui/quotas", quota.tag)


async def _hold(api: Rest, name: str) -> Removal:
    hold = await api.ask("GET", f"/v1/holds/{name}")
    document = hold.document
    effects = [
        f"Free again: {_number(document['left'], 'address')} of pool {document['pool']}.",
        f"Workloads keep what they have out of it: {_number(document['taken'], 'address')}.",
    ]
    title, path = f"Release hold {document['name']}", f"/v1/holds/{name}"
    return Removal(title, "Release", effects, "DELETE", path, "/ui/holds", hold.tag)


async def _token(api: Rest, number: str) -> Removal:
    token = await api.get(f"/v1/tokens/{number}")
    of = f" of node {token['cluster']}/{token['node']}" if token["node"] else ""
    effects = [
        f"1 token of the role {token['role']}{of}: whoever shows it is refused within five seconds.",
        *(["Its node does not join again until it is forgotten."] if token["node"] else []),
    ]
    named = f"token {number}" + (f" ({token['name']})" if token["name"] else "")
    return Removal(f"Revoke {named}", "Revoke", effects, "DELETE", f"/v1/tokens/{number}", "/ui/tokens")


async def _owner(api: Rest, cluster: str, namespace: str, name: str) -> Removal:
    path = f"/v1/owners/{quote(namespace, safe='')}/{quote(name, safe='')}"
    owned = (await api.get(path, {"cluster": cluster}))["items"]
    holders = sum(len(each["holders"]) for each in owned)
    effects = [
        f"It loses what it has, {len(owned)} in all: {', '.join(each['address'] for each in owned)}.",
        f"Held by containers now: {holders}." + (" It is refused unless you agree below." if holders else ""),
        "After their cooldown others may get them.",
    ]
    consent = Consent("Do it even if containers hold them: they lose them", "holders", {"cluster": cluster})
    title, view = f"Release owner {namespace}/{name}", "/ui/owners"
    return Removal(title, "Release", effects, "POST", f"{path}/release", view, consent=consent)


async def _of_node(api: Rest, verb: str, cluster: str, name: str) -> Removal:
    tail = f"{quote(cluster, safe='')}/{quote(name, safe='')}"
    node = await api.ask("GET", f"/v1/nodes/{tail}")
    holds = node.document["holds"]
    addresses = ("more than " if holds["more_addresses"] else "") + _number(holds["addresses"], "address")
    dead = "Containers that live are not told: do this for a node that is down for good."
    if verb == "release":
        effects = [f"Released: {addresses} of its containers.", dead]
        title, view = f"Release what node {name} holds", link("nodes", cluster, name)
        return Removal(
            title, "Release", effects, "POST", f"/v1/nodes/{tail}/release", view, consent=EVEN_IF_ALIVE
        )
    if verb == "remove":
        seats, blocks = holds["seats"], _number(sum(holds["blocks"].values()), "block")
        effects = [
            f"Released: {addresses} of its containers.",
            *([f"Taken back: {_number(seats, 'address')} that it holds in advance."] if seats else []),
            f"Given back: {blocks}, and its address in the pod network.",
            "Forgotten: its labels and its tokens.",
            dead,
        ]
        path = f"/v1/nodes/{tail}/remove"
        return Removal(
            f"Remove node {name}", "Remove", effects, "POST", path, "/ui/nodes", consent=EVEN_IF_ALIVE
        )
    if verb != "delete":
        raise Refused(404, {"detail": f"There is no such action: {verb}."})
    labels = _number(len(node.document["labels"]), "label")
    effects = [
        f"Forgotten: {labels}, its tokens, and that it joined.",
        f"Kept by its containers: {addresses}.",
    ]
    return Removal(
        f"Forget node {name}", "Forget", effects, "DELETE", f"/v1/nodes/{tail}", "/ui/nodes", node.tag
    )


def _number(number: int, one: str) -> str:
    """A number of things, as people read it."""
    many = f"{one}es" if one.endswith("s") else f"{one}s"
    return f"{grouped(number)} {one if number == 1 else many}"
