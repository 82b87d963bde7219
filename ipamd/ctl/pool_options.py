"""The fields of a pool as options of the command line, and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from ipamd.models.pool import Affinity


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOptions:
    """The options of both `pool create` and `pool edit`. An option that is not given is not in the body."""

    gateway: Annotated[
        str | None,
        typer.Option(
            "--gateway",
            metavar="ADDRESS",
            help="Gateway of the containers. Default: the first usable address.",
        ),
    ] = None
    no_gateway: Annotated[bool, typer.Option("--no-gateway", help="Give containers no gateway.")] = False
    gateway_on_link: Annotated[
        bool | None,
        typer.Option(
            "--gateway-on-link/--no-gateway-on-link",
            help="Allow a gateway outside the subnet: containers reach it on their link.",
        ),
    ] = None
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            metavar="RANGE",
            help="Give only these: an address, a prefix or FIRST-LAST; repeatable.",
        ),
    ] = None
    exclusions: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            metavar="RANGE",
            help="Never give these: an address, a prefix or FIRST-LAST; repeatable.",
        ),
    ] = None
    routes: Annotated[
        list[str] | None,
        typer.Option("--route", metavar="DST[,GW]", help="Route for containers; repeatable."),
    ] = None
    dns: Annotated[
        list[str] | None,
        typer.Option("--dns", metavar="ADDRESS", help="Name server for containers; repeatable."),
    ] = None
    dns_domain: Annotated[
        str | None, typer.Option("--dns-domain", metavar="NAME", help="Local domain of containers.")
    ] = None
    dns_search: Annotated[
        list[str] | None,
        typer.Option("--dns-search", metavar="NAME", help="Search domain for containers; repeatable."),
    ] = None
    dns_options: Annotated[
        list[str] | None,
        typer.Option("--dns-option", metavar="OPTION", help="Resolver option for containers; repeatable."),
    ] = None
    block_size: Annotated[
        int | None,
        typer.Option(
            "--block-size",
            metavar="LENGTH",
            help="Prefix length of a block. Default: 26 for IPv4, 122 for IPv6.",
        ),
    ] = None
    prefix_length: Annotated[
        int | None,
        typer.Option(
            "--prefix-length",
            metavar="LENGTH",
            help="Give prefixes of this length or shorter, and no addresses.",
        ),
    ] = None
    affinity: Annotated[
        Affinity | None,
        typer.Option(
            "--affinity",
            help="`node`: a block serves the node that took from it first. `any`: all nodes share blocks.",
        ),
    ] = None
    cooldown: Annotated[
        int | None,
        typer.Option(
            "--cooldown",
            metavar="SECONDS",
            help="Time before a released address is given again. Default: 60.",
        ),
    ] = None
    priority: Annotated[
        int | None,
        typer.Option(
            "--priority", metavar="NUMBER", help="Of several matching pools the highest priority comes first."
        ),
    ] = None
    auto_assign: Annotated[
        bool | None,
        typer.Option(
            "--auto-assign/--no-auto-assign", help="Whether the pool serves requests that name no pool."
        ),
    ] = None
    masquerade: Annotated[
        bool | None,
        typer.Option(
            "--masquerade/--no-masquerade", help="Whether plugins are to masquerade these addresses."
        ),
    ] = None
    borrow: Annotated[
        bool | None,
        typer.Option(
            "--borrow/--no-borrow",
            help="With affinity `node`: whether a node may take single addresses out of another's block.",
        ),
    ] = None
    lease: Annotated[
        int | None,
        typer.Option(
            "--lease", metavar="NUMBER", help="How many free addresses a node may hold in advance; 0: none."
        ),
    ] = None
    sticky: Annotated[
        bool | None,
        typer.Option(
            "--sticky/--no-sticky",
            help="Whether a workload that comes back within the cooldown gets the address that it had.",
        ),
    ] = None
    owner_keep: Annotated[
        int | None,
        typer.Option(
            "--owner-keep",
            metavar="SECONDS",
            help="How long an owner keeps its address after its last holder left. Default: 86400.",
        ),
    ] = None
    clusters: Annotated[
        list[str] | None,
        typer.Option("--cluster", metavar="NAME", help="Serve only this cluster; repeatable."),
    ] = None
    networks: Annotated[
        list[str] | None,
        typer.Option("--network", metavar="NAME", help="Serve only this CNI network; repeatable."),
    ] = None
    nodes: Annotated[
        list[str] | None, typer.Option("--node", metavar="NAME", help="Serve only this node; repeatable.")
    ] = None
    node_labels: Annotated[
        list[str] | None,
        typer.Option(
            "--node-label", metavar="KEY=VALUE", help="Serve only nodes with all of these labels; repeatable."
        ),
    ] = None
    namespaces: Annotated[
        list[str] | None,
        typer.Option("--namespace", metavar="NAME", help="Serve only this namespace; repeatable."),
    ] = None

    def body(self) -> dict[str, Any]:
        """The given fields, as REST names them."""
        if self.no_gateway and self.gateway is not None:
            raise typer.BadParameter("give --gateway or --no-gateway, not both", param_hint="--gateway")
        fields: dict[str, Any] = {
            "ranges": self.ranges,
            "exclusions": self.exclusions,
            "routes": [route_from(text) for text in self.routes or ()],
            "dns": self.resolver(),
            "selectors": self.selectors(),
            "gateway": self.gateway,
            "gateway_on_link": self.gateway_on_link,
            "block_size": self.block_size,
            "prefix_length": self.prefix_length,
            "affinity": self.affinity,
            "cooldown": self.cooldown,
            "priority": self.priority,
            "auto_assign": self.auto_assign,
            "masquerade": self.masquerade,
            "borrow": self.borrow,
            "lease": self.lease,
            "sticky": self.sticky,
            "owner_keep": self.owner_keep,
        }
        body = _given(fields)
        if self.no_gateway:
            body["gateway"] = None
        return body

    def resolver(self) -> dict[str, Any]:
        """The given fields of `dns`."""
        return _given(
            {
                "nameservers": self.dns,
                "domain": self.dns_domain,
                "search": self.dns_search,
                "options": self.dns_options,
            }
        )

    def selectors(self) -> dict[str, Any]:
        """The given fields of `selectors`."""
        return _given(
            {
                "clusters": self.clusters,
                "networks": self.networks,
                "nodes": self.nodes,
                "node_labels": labels_from(self.node_labels or ()),
                "namespaces": self.namespaces,
            }
        )


def route_from(text: str) -> dict[str, str]:
    """`DST[,GW]` as a route of REST."""
    dst, comma, gw = text.partition(",")
    return {"dst": dst, "gw": gw} if comma else {"dst": dst}


def labels_from(texts: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` texts as labels."""
    labels: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--node-label")
        labels[key] = value
    return labels


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value not in (None, [], {})}
