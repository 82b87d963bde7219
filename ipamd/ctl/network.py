"""`ipamctl network`: the pod network of a cluster, its settings and which addresses are on which node."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from ipamd.ctl.client import RestAnswer
from ipamd.ctl.session import CommandSession, command
from ipamd.models.pod_network import PodNetworkMode, Underlay
from ipamd.models.pool import DEFAULT_CLUSTER

commands = typer.Typer(
    name="network", help="The pod network: how nodes reach each other's pods.", no_args_is_help=True
)

NETWORK: Final = "/v1/network"
Cluster = Annotated[str, typer.Option("--cluster", metavar="NAME")]


@command(commands, "show")
def show(session: CommandSession, cluster: Cluster = DEFAULT_CLUSTER) -> None:
    """Show the settings, pools and nodes of a pod network."""
    network = network_of(session, cluster).body
    if not session.for_people:
        session.show_document(network)
        return
    pools = [f"{pool['name']} ({pool['subnet']})" for pool in network["pools"]]
    session.show_record(
        {"cluster": cluster, **network["settings"], "pools": pools, "nodes": len(network["nodes"])}
    )


@command(commands, "edit")
def edit(
    session: CommandSession,
    cluster: Cluster = DEFAULT_CLUSTER,
    mode: Annotated[
        PodNetworkMode | None,
        typer.Option("--mode", help="`auto`: directly where a probe proved it, else by vxlan."),
    ] = None,
    underlay: Annotated[
        Underlay | None, typer.Option("--underlay", help="In which family nodes reach each other.")
    ] = None,
    vxlan_port: Annotated[
        int | None, typer.Option("--vxlan-port", metavar="PORT", help="UDP port of the tunnel.")
    ] = None,
    vxlan_vni: Annotated[
        int | None, typer.Option("--vxlan-vni", metavar="NUMBER", help="Network identifier of the tunnel.")
    ] = None,
    masquerade_except: Annotated[
        list[str] | None,
        typer.Option(
            "--masquerade-except",
            metavar="PREFIX",
            help="Packets of pods to this prefix keep their source; replaces the list; repeatable.",
        ),
    ] = None,
    clear_masquerade_except: Annotated[
        bool, typer.Option("--clear-masquerade-except", help="Empty that list.")
    ] = False,
    check_sources: Annotated[
        bool | None,
        typer.Option(
            "--check-sources/--no-check-sources",
            help="Whether a packet is dropped that a pod sends from an address that is not its own.",
        ),
    ] = None,
    if_match: Annotated[
        str | None,
        typer.Option("--if-match", metavar="REVISION", help="Do it only at this revision of the settings."),
    ] = None,
) -> None:
    """Change the settings. The agents follow within seconds. Options that are not given change nothing."""
    if masquerade_except and clear_masquerade_except:
        raise typer.BadParameter(
            "give --masquerade-except or --clear-masquerade-except, not both",
            param_hint="--masquerade-except",
        )
    vxlan = {"port": vxlan_port, "vni": vxlan_vni}
    given: dict[str, Any] = {
        "mode": mode,
        "underlay": underlay,
        "vxlan": {key: value for key, value in vxlan.items() if value is not None} or None,
        "masquerade_except": masquerade_except or None,
        "check_sources": check_sources,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    if clear_masquerade_except:
        changes["masquerade_except"] = []
    if not changes:
        raise typer.BadParameter("nothing to change: give at least one option", param_hint="network edit")
    answer = session.client.patch(NETWORK, changes, if_match, {"cluster": cluster})
    session.show_done(f"the pod network of cluster {cluster} changed", answer)


def network_of(session: CommandSession, cluster: str) -> RestAnswer:
    """A pod network as REST answers it."""
    return session.client.get(NETWORK, {"cluster": cluster})
