"""`ipamctl node`: nodes' labels, when nodes were last heard from, and forgetting them."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from ipamd.ctl.client import segment
from ipamd.ctl.failure import CommandFailed
from ipamd.ctl.paging import Limit
from ipamd.ctl.session import CommandSession, command
from ipamd.models.pool import DEFAULT_CLUSTER

commands = typer.Typer(name="node", help="Nodes and their labels.", no_args_is_help=True)

NODES: Final = "/v1/nodes"
NODE_ALIVE: Final = "node-alive"
Name = Annotated[str, typer.Argument(metavar="NAME")]
Cluster = Annotated[str, typer.Option("--cluster", metavar="NAME")]


@command(commands, "list")
def list_nodes(session: CommandSession, limit: Limit = None) -> None:
    """The nodes that have called, joined or were given labels, and when they last called."""
    session.show_list(
        session.client.pages(NODES, limit=limit),
        ("CLUSTER", "NAME", "LABELS", "LAST CONTACT"),
        lambda node: (node["cluster"], node["name"], node["labels"], node.get("last_contact")),
    )


@command(commands, "show")
def show(session: CommandSession, name: Name, cluster: Cluster = DEFAULT_CLUSTER) -> None:
    """One node with all its fields, also one without labels that has called."""
    session.show_record(session.client.get(_path(cluster, name)).body)


@command(commands, "label")
def label(
    session: CommandSession,
    name: Name,
    changes: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE|KEY-...", help="Set a label, or take one away.")
    ],
    cluster: Cluster = DEFAULT_CLUSTER,
) -> None:
    """Change a node's labels, which pools select by; a node that ipamd does not know is made."""
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
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Kept in history.")],
    cluster: Cluster = DEFAULT_CLUSTER,
    even_if_alive: Annotated[
        bool, typer.Option("--even-if-alive", help="Also if it was heard from in the last 15 minutes.")
    ] = False,
) -> None:
    """Free all that a dead node's containers held.

    Nothing tells ipamd that they are gone: see that the node is down and stays so.
    """
    body = {"why": why, "even_if_alive": even_if_alive}
    try:
        answer = session.client.post(f"{_path(cluster, name)}/release", body)
    except CommandFailed as failure:
        if failure.problem is None or failure.problem.get("code") != NODE_ALIVE:
            raise
        heard = failure.problem["last_contact"]
        sentence = f"node {name} was heard from at {heard}: see that it is down, then add --even-if-alive"
        raise CommandFailed(sentence, failure.exit_code, failure.problem) from None
    session.show_done(
        f"{answer.body['released']} addresses of node {name} of cluster {cluster} are free", answer
    )


@command(commands, "forget")
def forget(session: CommandSession, name: Name, cluster: Cluster = DEFAULT_CLUSTER) -> None:
    """Forget a node: its labels, its tokens, and that it joined; what is allocated on it stays.

    Its name is free then for whoever joins with a join token of the cluster.
    """
    answer = session.client.delete(_path(cluster, name))
    session.show_done(f"node {name} of cluster {cluster} is forgotten, and its tokens are revoked", answer)


def _change(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    if key and equals:
        return key, value
    if not equals and len(text) > 1 and text.endswith("-"):
        return text[:-1], None
    raise typer.BadParameter(f"{text!r} is neither KEY=VALUE nor KEY-", param_hint="KEY=VALUE|KEY-")


def _path(cluster: str, name: str) -> str:
    return f"{NODES}/{segment(cluster)}/{segment(name)}"
