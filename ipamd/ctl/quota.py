"""`ipamctl quota`: how many addresses namespaces may have."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from ipamd.ctl.client import segment
from ipamd.ctl.paging import Limit
from ipamd.ctl.precondition import IfMatch
from ipamd.ctl.render import print_table
from ipamd.ctl.session import CommandSession, command

commands = typer.Typer(
    name="quota", help="Quotas: how many addresses namespaces may have.", no_args_is_help=True
)

QUOTAS: Final = "/v1/quotas"
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the quota.")]
Amount = Annotated[int, typer.Option("--limit", metavar="NUMBER", help="How many addresses of each family.")]


class Family(StrEnum):
    """IPv4 or IPv6."""

    FOUR = "4"
    SIX = "6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is counted, beside the namespaces."""

    clusters: Annotated[
        list[str] | None,
        typer.Option("--cluster", metavar="NAME", help="Only in this cluster; repeatable; all without it."),
    ] = None
    family: Annotated[Family | None, typer.Option("--family", help="Only addresses of this family.")] = None
    pool: Annotated[
        str | None, typer.Option("--pool", metavar="NAME", help="Only addresses of this pool.")
    ] = None
    space: Annotated[
        str | None, typer.Option("--space", metavar="NAME", help="Only addresses of this address space.")
    ] = None
    shared: Annotated[
        bool | None,
        typer.Option(
            "--shared/--each",
            help="All namespaces share the limit, or each has it for itself, as in a quota that is new.",
            show_default=False,
        ),
    ] = None

    def given(self) -> dict[str, Any]:
        """The fields to send."""
        told = {field: value for field, value in asdict(self).items() if value not in (None, [])}
        if "family" in told:
            told["family"] = int(told["family"])
        return told


class Clearable(StrEnum):
    """Restrictions that `--clear` takes away."""

    CLUSTERS = "clusters"
    FAMILY = "family"
    POOL = "pool"
    SPACE = "space"


@command(commands, "list")
def list_quotas(session: CommandSession, limit: Limit = None) -> None:
    """List all quotas. USED is what the fullest namespace uses, or all that share the limit."""
    session.show_list(
        session.client.pages(QUOTAS, limit=limit),
        ("NAME", "NAMESPACES", "OF", "LIMIT", "USED", "STATE"),
        lambda item: (
            item["name"],
            _namespaces(item),
            _of(item),
            item["limit"],
            item["used"],
            _state(item),
        ),
    )


@command(commands, "show")
def show(session: CommandSession, name: Name) -> None:
    """Show a quota, and the namespaces that use most of it."""
    body = session.client.get(_path(name)).body
    if not session.for_people:
        session.show_document(body)
        return
    session.show_record({field: value for field, value in body.items() if field != "uses"})
    print_table(
        ("NAMESPACE", "CLUSTER", "FAMILY", "USED"),
        [(use["namespace"], use["cluster"], f"IPv{use['family']}", use["used"]) for use in body["uses"]],
    )


@command(commands, "create")
def create(
    session: CommandSession,
    name: Name,
    limit: Amount,
    namespaces: Annotated[
        list[str],
        typer.Option(
            "--namespace",
            metavar="NAME|BEGINNING*",
            help="Whom it counts: a namespace, those that begin so (team-*), or every one (*); repeatable.",
        ),
    ],
    scope: Scope,
) -> None:
    """Create a quota. What is used already counts; nothing is freed if that is more than the limit."""
    body = {"name": name, "limit": limit, "namespaces": namespaces, **scope.given()}
    answer = session.client.post(QUOTAS, body)
    session.show_done(f"quota {name} created: {_standing(answer.body)}", answer)
    session.warn(*_warnings(answer.body))


@command(commands, "edit")
def edit(
    session: CommandSession,
    name: Name,
    scope: Scope,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="NUMBER", help="How many addresses of each family.")
    ] = None,
    namespaces: Annotated[
        list[str] | None,
        typer.Option("--namespace", metavar="NAME|BEGINNING*", help="Whom it counts now; repeatable."),
    ] = None,
    clear: Annotated[
        list[Clearable] | None, typer.Option("--clear", help="Take this restriction away; repeatable.")
    ] = None,
    if_match: IfMatch = None,
) -> None:
    """Change a quota. Options that are not given change nothing."""
    body: dict[str, Any] = {field.value: None for field in clear or ()}
    body |= scope.given()
    body |= {"limit": limit} if limit is not None else {}
    body |= {"namespaces": namespaces} if namespaces else {}
    if not body:
        raise typer.BadParameter("nothing to change: give at least one option", param_hint="quota edit")
    answer = session.client.patch(_path(name), body, if_match)
    session.show_done(f"quota {name} changed: {_standing(answer.body)}", answer)
    session.warn(*_warnings(answer.body))


@command(commands, "delete")
def delete(session: CommandSession, name: Name, if_match: IfMatch = None) -> None:
    """Delete a quota."""
    answer = session.client.delete(_path(name), if_match=if_match)
    session.show_done(f"quota {name} deleted", answer)


def _path(name: str) -> str:
    return f"{QUOTAS}/{segment(name)}"


def _namespaces(item: dict[str, Any]) -> str:
    return ("all of " if item["shared"] else "each of ") + " ".join(item["namespaces"])


def _of(item: dict[str, Any]) -> str:
    """What is counted, in words."""
    words = [f"IPv{item['family']}"] if item["family"] else []
    words += [f"{what} {item[what]}" for what in ("pool", "space") if item[what]]
    words += [f"cluster {' '.join(item['clusters'])}"] if item["clusters"] else []
    return ", ".join(words) or "all"


def _state(item: dict[str, Any]) -> str:
    if item["counting"]:
        return "counting"
    return "exceeded" if item["exceeded"] else "full" if item["used"] == item["limit"] else "ok"


def _standing(item: dict[str, Any]) -> str:
    whose = "all together use" if item["shared"] else "the fullest namespace uses"
    return f"{whose} {item['used']} of {item['limit']}"


def _warnings(item: dict[str, Any]) -> list[str]:
    said = []
    if "*" in item["namespaces"]:
        said.append("this quota matches every namespace")
    if item["exceeded"]:
        said.append(f"{item['used']} are used already: nothing is freed, and nothing new is given")
    if item["counting"]:
        said.append("ipamd still counts what is used: until then it refuses nobody")
    return said
