"""`ipamctl node`: what nodes hold, their labels, and how to drain, release, remove and forget one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.client import RestAnswer, segment
from ipamd.ctl.failure import CommandFailed
from ipamd.ctl.local_time import with_local_times
from ipamd.ctl.paging import Limit
from ipamd.ctl.render import confirm
from ipamd.ctl.session import CommandSession, command
from ipamd.models.pool import DEFAULT_CLUSTER

commands = typer.Typer(
    name="node",
    help="Nodes: what they hold, and how to drain, release and remove them.",
    no_args_is_help=True,
)

NODES: Final = "/v1/nodes"
NODE_ALIVE: Final = "node-alive"
Name = Annotated[str, typer.Argument(metavar="NAME")]
Cluster = Annotated[str, typer.Option("--cluster", metavar="NAME")]
EvenIfAlive = Annotated[
    bool,
    typer.Option(
        "--even-if-alive", help="Do it even if the node called lately, or may still give addresses."
    ),
]


@command(commands, "list")
def list_nodes(session: CommandSession, limit: Limit = None) -> None:
    """List nodes, what they hold, and when each was last heard from.

    STATE is `silent` if the node's agent was not heard from for five minutes, `draining` if its containers
    get nothing new, `gone` if its cluster does not have it any more.
    """
    session.show_list(
        session.client.pages(NODES, limit=limit),
        ("CLUSTER", "NAME", "ADDRESS", "BLOCKS", "HOLDS", "LABELS", "LAST CONTACT", "STATE"),
        lambda node: (
            node["cluster"],
            node["name"],
            (node.get("network") or {}).get("address"),
            (node.get("network") or {}).get("blocks"),
            held(node) or None,
            node["labels"],
            node.get("last_contact"),
            state(node),
        ),
    )


@command(commands, "show")
def show(session: CommandSession, name: Name, cluster: Cluster = DEFAULT_CLUSTER) -> None:
    """Show one node with all its fields."""
    session.show_record(session.client.get(_path(cluster, name)).body)


@command(commands, "label")
def label(
    session: CommandSession,
    name: Name,
    changes: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUE|KEY-...", help="KEY=VALUE sets a label, KEY- removes it."),
    ],
    cluster: Cluster = DEFAULT_CLUSTER,
) -> None:
    """Set or remove labels of a node. Pools select nodes by labels.

    The node need not be known to ipamd yet.
    """
    wanted = [_change(text) for text in changes]
    current = session.client.find(_path(cluster, name))
    labels: dict[str, str] = dict(current.body["labels"]) if current is not None else {}
    for key, value in wanted:
        if value is None:
            labels.pop(key, None)
        else:
            labels[key] = value
    answer = session.client.put(_path(cluster, name), {"labels": labels}, current.etag if current else None)
    shown = " ".join(f"{key}={value}" for key, value in labels.items()) or "no labels"
    session.show_done(f"node {name} of cluster {cluster} has {shown}", answer)


@command(commands, "release")
def release(
    session: CommandSession,
    name: Name,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the history.")],
    cluster: Cluster = DEFAULT_CLUSTER,
    even_if_alive: EvenIfAlive = False,
) -> None:
    """Release all addresses that a dead node has: those of its containers, and those held in advance.

    ipamd cannot know that the containers are gone: make sure that the node is down and stays down.
    """
    body = {"why": why, "even_if_alive": even_if_alive}
    answer = _if_dead(session, name, f"{_path(cluster, name)}/release", body)
    session.show_done(
        f"{answer.body['released']} addresses of node {name} of cluster {cluster} are free", answer
    )


@command(commands, "drain")
def drain(session: CommandSession, name: Name, cluster: Cluster = DEFAULT_CLUSTER) -> None:
    """Give the containers of a node nothing new, and take back what it holds in advance.

    What its containers have stays theirs. An ADD there ends with code 11, so that the runtime tries again.
    `undrain` ends it.
    """
    answer = session.client.post(f"{_path(cluster, name)}/drain", {})
    holds = held(answer.body) or "nothing"
    session.show_done(f"node {name} of cluster {cluster} gets nothing new; it holds {holds}", answer)


@command(commands, "undrain")
def undrain(session: CommandSession, name: Name, cluster: Cluster = DEFAULT_CLUSTER) -> None:
    """Give addresses to the containers of a drained node again."""
    answer = session.client.post(f"{_path(cluster, name)}/undrain", {})
    session.show_done(f"node {name} of cluster {cluster} gets addresses again", answer)


@command(commands, "remove")
def remove(
    session: CommandSession,
    name: Name,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the history.")],
    cluster: Cluster = DEFAULT_CLUSTER,
    even_if_alive: EvenIfAlive = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a node that is gone for good: release what it holds, and forget it.

    Its containers' addresses, those held in advance, its blocks and its address in the pod network are free
    then. Its tokens are revoked. ipamd cannot know that its containers are gone: make sure that it is down.
    """
    if not yes:
        node = with_local_times(session.client.get(_path(cluster, name)).body, exact=False)
        holds, heard = held(node) or "nothing", node["last_contact"] or "never"
        confirm(
            f"node {name} of cluster {cluster} holds {holds} (last contact: {heard}): release all of it, and "
            "forget the node?"
        )
    body = {"why": why, "even_if_alive": even_if_alive}
    answer = _if_dead(session, name, f"{_path(cluster, name)}/remove", body)
    freed = answer.body
    numbers = (
        (freed["released"], "address of containers", "addresses of containers"),
        (freed["seats"], "free seat", "free seats"),
        (freed["own"], "address of its own", "addresses of its own"),
        (freed["blocks"], "block", "blocks"),
    )
    session.show_done(
        f"node {name} of cluster {cluster} is removed; it held {_counted(numbers) or 'nothing'}", answer
    )


@command(commands, "free-dead")
def free_dead(
    session: CommandSession,
    name: Name,
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="The reason, for the history.")],
    cluster: Cluster = DEFAULT_CLUSTER,
) -> None:
    """Release the addresses of containers that the node's agent has reported dead twice.

    ipamd does so itself, but not if more than half of what the node holds would go at once: then see first
    that its agent is right.
    """
    answer = session.client.post(f"{_path(cluster, name)}/free-dead", {"why": why})
    session.show_done(
        f"{answer.body['released']} addresses of dead containers of node {name} are free", answer
    )


@command(commands, "forget")
def forget(
    session: CommandSession,
    name: Name,
    cluster: Cluster = DEFAULT_CLUSTER,
    keep_lease: Annotated[
        bool,
        typer.Option("--keep-lease", help="Do it though the node holds addresses: it comes back to them."),
    ] = False,
) -> None:
    """Forget a node: its labels, its tokens, and that it joined. Its containers keep their addresses.

    Then any machine with a join token of the cluster can join under this name. If the node holds addresses
    in advance, nobody else would get them: release the node first, or say that it comes back.
    """
    answer = session.client.delete(_path(cluster, name), {"keep_lease": "true"} if keep_lease else None)
    session.show_done(f"node {name} of cluster {cluster} is forgotten, and its tokens are revoked", answer)


def held(node: Mapping[str, Any]) -> str:
    """What a node holds, in words."""
    holds = node.get("holds") or {}  # an older ipamd does not say it
    numbers = (
        (holds.get("addresses", 0), "address", "addresses"),
        (holds.get("seats", 0), "free seat", "free seats"),
        (sum(holds.get("blocks", {}).values()), "block", "blocks"),
    )
    return ("more than " if holds.get("more_addresses") else "") + _counted(numbers)


def state(node: Mapping[str, Any]) -> str | None:
    """What is out of the ordinary about a node, None if nothing is."""
    words = (("gone_since", "gone"), ("draining", "draining"), ("silent", "silent"))
    states = [word for field, word in words if node.get(field)]
    return ", ".join(states) or None


def _counted(numbers: Iterable[tuple[int, str, str]]) -> str:
    return ", ".join(f"{number} {one if number == 1 else many}" for number, one, many in numbers if number)


def _if_dead(session: CommandSession, name: str, path: str, body: Mapping[str, Any]) -> RestAnswer:
    """Ask for what is refused if the node called lately; the refusal says what to add."""
    try:
        return session.client.post(path, body)
    except CommandFailed as failure:
        if failure.problem is None or failure.problem.get("code") != NODE_ALIVE:
            raise
        heard = failure.problem["last_contact"]
        sentence = f"node {name} called at {heard}: make sure that it is down, then add --even-if-alive"
        raise CommandFailed(sentence, failure.exit_code, failure.problem) from None


def _change(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    if key and equals:
        return key, value
    if not equals and len(text) > 1 and text.endswith("-"):
        return text[:-1], None
    raise typer.BadParameter(f"{text!r} is neither KEY=VALUE nor KEY-", param_hint="KEY=VALUE|KEY-")


def _path(cluster: str, name: str) -> str:
    return f"{NODES}/{segment(cluster)}/{segment(name)}"
