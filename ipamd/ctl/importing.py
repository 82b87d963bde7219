"""`ipamctl import`: give running containers the addresses that they already use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.allocation import workload_of
from ipamd.ctl.failure import CommandFailed, ExitCode
from ipamd.ctl.render import print_line, print_table
from ipamd.ctl.results import Attachment, Unreadable, read_results
from ipamd.ctl.session import CommandSession, Output, command
from ipamd.models.node import node_name
from ipamd.models.pool import DEFAULT_CLUSTER, DEFAULT_SPACE

PATH: Final = "/v1/import"
AT_ONCE: Final = 200
KEY: Final = ("container_id", "network", "ifname")
COLUMNS: Final = ("OUTCOME", "ADDRESS", "NETWORK", "CONTAINER", "INTERFACE", "WORKLOAD", "WHY")
ALLOCATIONS: Final = "/v1/allocations"
RIGHT: Final = ("taken", "held", "released")
"""Outcomes that need no attention."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which node the results are of, and where its pools are."""

    node: Annotated[
        str, typer.Option("--node", metavar="NAME", help="The node's name, as the plugin sends it.")
    ]
    cluster: Annotated[str, typer.Option("--cluster", metavar="NAME")] = DEFAULT_CLUSTER
    network: Annotated[
        list[str] | None,
        typer.Option("--network", metavar="NAME", help="Import only this CNI network; repeatable."),
    ] = None
    space: Annotated[str, typer.Option("--space", metavar="NAME", help="Address space of the pools.")] = (
        DEFAULT_SPACE
    )


def register(application: typer.Typer) -> None:
    """Add `import` to the command."""
    command(application, "import")(import_results)


def import_results(
    session: CommandSession,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="/var/lib/cni/results, or a copy of it.")],
    identity: Identity,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be imported, and import nothing.")
    ] = (False),
    release_gone: Annotated[
        bool,
        typer.Option("--release-gone", help="Release imported addresses whose result file is gone."),
    ] = False,
) -> None:
    """Import the addresses that the containers of a node already use, from the results of libcni.

    The exit code is 1 if anything was left out: an address that somebody else holds or that is in no pool, or
    a file that cannot be read. Everything else is imported. The same command again changes nothing.
    """
    items: list[dict[str, Any]] = []
    usable: list[Attachment] = []
    there: set[tuple[str, str, str]] = set()
    for found in read_results(folder):
        if isinstance(found, Attachment):
            there.add((found.container_id, found.network, found.ifname))
        if isinstance(found, Unreadable):
            items.append({"file": found.file, "outcome": "unreadable", "why": found.why})
        elif found.addresses and (not identity.network or found.network in identity.network):
            usable.append(found)
    named, usable = _of_others(usable, identity)
    contested, usable = _contested(usable)
    items += named + contested
    for begin in range(0, len(usable), AT_ONCE):
        part = usable[begin : begin + AT_ONCE]
        found_there = _ask(session, identity, dry_run, attachments=[each.body() for each in part])
        items += [{"file": each.file, **item} for each, item in zip(part, found_there, strict=True)]
    if release_gone:
        gone = [key for key in _known(session, identity) if key not in there]
        for begin in range(0, len(gone), AT_ONCE):
            part_gone = [dict(zip(KEY, key, strict=True)) for key in gone[begin : begin + AT_ONCE]]
            items += [{"file": None, **item} for item in _ask(session, identity, dry_run, gone=part_gone)]
    _show(session, items, dry_run)
    left = sum(not _is_right(item) for item in items)
    if left:
        raise CommandFailed(f"{left} of {len(items)} were not imported: the table says why", ExitCode.REFUSED)


def _ask(session: CommandSession, identity: Identity, dry_run: bool, **lists: Any) -> list[dict[str, Any]]:
    body = {
        "node": identity.node,
        "cluster": identity.cluster,
        "space": identity.space,
        "dry_run": dry_run,
        **lists,
    }
    items: list[dict[str, Any]] = session.client.post(PATH, body).body["items"]
    return items


def _known(session: CommandSession, identity: Identity) -> list[tuple[str, ...]]:
    """The `KEY` of everything on the node that holds addresses at ipamd."""
    query = {"cluster": identity.cluster, "node": identity.node, "space": identity.space}
    rows = session.client.pages(ALLOCATIONS, query).items
    wanted = [row for row in rows if not identity.network or row["network"] in identity.network]
    return list(dict.fromkeys(tuple(row[field] for field in KEY) for row in wanted))


def _of_others(usable: list[Attachment], identity: Identity) -> tuple[list[dict[str, Any]], list[Attachment]]:
    """Attachments of another node, as their own configuration says, and the rest."""
    mine = {"node": node_name(identity.node), "cluster": identity.cluster}
    named, rest = [], []
    for each in usable:
        own = {key: node_name(value) if key == "node" else value for key, value in each.ipam.items()}
        other = [f"{key} {each.ipam[key]}" for key, value in own.items() if value != mine[key]]
        if other:
            named.append(_item(each, "refused", f"its configuration names {' and '.join(other)}"))
        else:
            rest.append(each)
    return named, rest


def _contested(usable: list[Attachment]) -> tuple[list[dict[str, Any]], list[Attachment]]:
    """Attachments that share an address with another file, and the rest. Only the node knows who has it."""
    files: dict[str, list[str]] = {}
    for each in usable:
        for address in each.addresses:
            files.setdefault(str(address), []).append(each.file)
    contested, rest = [], []
    for each in usable:
        rivals = [
            f"{address} is also in {other}"
            for address in map(str, each.addresses)
            for other in files[address]
            if other != each.file
        ]
        if rivals:
            contested.append(_item(each, "conflict", "; ".join(rivals)))
        else:
            rest.append(each)
    return contested, rest


def _item(attachment: Attachment, outcome: str, why: str) -> dict[str, Any]:
    """An item as `POST /v1/import` answers it, for an attachment that was not sent there."""
    return {
        "file": attachment.file,
        "container_id": attachment.container_id,
        "network": attachment.network,
        "ifname": attachment.ifname,
        "namespace": attachment.workload.get("namespace"),
        "name": attachment.workload.get("name"),
        "outcome": outcome,
        "addresses": [str(address) for address in attachment.addresses],
        "outside": [],
        "why": why,
        "holder": None,
    }


def _is_right(item: dict[str, Any]) -> bool:
    return item["outcome"] in RIGHT and not item["outside"]


def _show(session: CommandSession, items: list[dict[str, Any]], dry_run: bool) -> None:
    if not session.for_people:
        session.show_document({"dry_run": dry_run, "items": items})
        return
    if items:
        wide = session.output is Output.WIDE
        print_table(COLUMNS, [row for item in items for row in _rows(item, wide=wide)])
    counts = Counter(item["outcome"] for item in items)
    beside = sum(item["outcome"] in RIGHT and bool(item["outside"]) for item in items)
    said = [f"{count} {outcome}" for outcome, count in counts.items()]
    if beside:
        said.append(f"{beside} with an address in no pool")
    print_line(
        ", ".join(said) + (" (dry run: nothing was imported)" if dry_run else "")
        if said
        else "there is nothing to import"
    )


def _rows(item: dict[str, Any], *, wide: bool) -> Iterator[Sequence[Any]]:
    if item["outcome"] == "unreadable":
        yield ("unreadable", None, None, None, None, None, f"{item['file']} {item['why']}")
        return
    container = item["container_id"] if wide else item["container_id"][:12]
    who = (item["network"], container, item["ifname"], workload_of(item))
    if item["addresses"]:
        yield (item["outcome"], ", ".join(item["addresses"]), *who, item["why"])
    if item["outside"]:
        yield ("outside", ", ".join(item["outside"]), *who, "in no pool")
