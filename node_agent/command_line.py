"""The command line of `ipamd-agent`: its subcommands, and how their errors end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from hosting.log_format import LogFormat
from hosting.version_option import version_option
from node_agent.failure import CommandFailed
from node_agent.installation.executables import default_folder, own_architecture
from node_agent.installation.install import install as put
from node_agent.installation.options import JOIN_TOKEN, InstallOptions
from node_agent.installation.root import Root
from node_agent.installation.uninstall import NothingInstalled
from node_agent.installation.uninstall import uninstall as take_back
from node_agent.node import AGENT, DEFAULT_NODE_JSON, MOST_SEATS
from node_agent.run_options import RunOptions
from node_agent.text import complain, say

DEFAULT_SOCKET: Final = Path(AGENT.removeprefix("unix://"))
DEFAULT_PORT: Final = 8751
DEFAULT_EXECUTABLES: Final = default_folder()
OWN_ARCHITECTURE: Final = own_architecture()


class _Sentences(TyperGroup):
    """Ends a failing command with one sentence on stderr and its exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except CommandFailed as failure:
            complain(failure.sentence)
            raise typer.Exit(failure.exit_code) from None


application = typer.Typer(
    cls=_Sentences,
    help="The agent of a node: it installs the CNI plugins, and passes their calls on to ipamd.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RootFolder = Annotated[
    Path, typer.Option("--root", envvar="IPAMD_AGENT_ROOT", metavar="DIR", help="Root folder of the node.")
]
NodeJson = Annotated[
    Path,
    typer.Option(
        "--node-json", envvar="IPAMD_AGENT_NODE_JSON", metavar="PATH", help="The file node.json of the node."
    ),
]
Socket = Annotated[
    Path,
    typer.Option(
        "--socket",
        envvar="IPAMD_AGENT_SOCKET",
        metavar="PATH",
        help="Socket on which the agent serves the plugin.",
    ),
]


def _option(flag: str, variable: str, text: str, metavar: str = "FILE") -> Any:
    return typer.Option(flag, envvar=f"IPAMD_AGENT_{variable}", metavar=metavar, help=text)


ConflistFolder = Annotated[
    str,
    _option(
        "--conflist-dir", "CONFLIST_DIR", "Folder where the runtime looks for network configurations.", "DIR"
    ),
]


@application.command("install")
def install(
    root: RootFolder = Path("/"),
    executables: Annotated[
        Path,
        _option(
            "--executables", "EXECUTABLES", "Folder with ARCH/ipamd-ipam, the file of both plugins.", "DIR"
        ),
    ] = DEFAULT_EXECUTABLES,
    architecture: Annotated[
        str, _option("--architecture", "ARCHITECTURE", "Architecture of the node: amd64 or arm64.", "ARCH")
    ] = OWN_ARCHITECTURE,
    bin_dir: Annotated[
        str, _option("--bin-dir", "BIN_DIR", "Folder where the runtime looks for plugins.", "DIR")
    ] = "/opt/cni/bin",
    endpoint: Annotated[
        list[str] | None, _option("--endpoint", "ENDPOINT", "Where ipamd listens; repeatable.", "URL")
    ] = None,
    cluster: Annotated[str | None, _option("--cluster", "CLUSTER", "Name of this cluster.", "NAME")] = None,
    node: Annotated[
        str | None, typer.Option("--node", envvar="NODE_NAME", metavar="NAME", help="Name of this node.")
    ] = None,
    ca_file: Annotated[
        Path | None, _option("--ca-file", "CA_FILE", "Certificate of ipamd's authority, as PEM.")
    ] = None,
    cert_file: Annotated[
        Path | None, _option("--cert-file", "CERT_FILE", "Certificate of the node, as PEM.")
    ] = None,
    key_file: Annotated[
        Path | None, _option("--key-file", "KEY_FILE", "Key of the node's certificate, as PEM.")
    ] = None,
    token_file: Annotated[
        Path | None, _option("--token-file", "TOKEN_FILE", "File with the node's token.")
    ] = None,
    join_token_file: Annotated[
        Path | None, _option("--join-token-file", "JOIN_TOKEN_FILE", "File with a join token for the agent.")
    ] = None,
    leases: Annotated[
        int | None,
        typer.Option(
            "--leases",
            envvar="IPAMD_AGENT_LEASES",
            min=0,
            max=MOST_SEATS,
            metavar="N",
            help=f"How many free addresses the node may hold in advance; 0 is none. Default: {MOST_SEATS}.",
        ),
    ] = None,
    conflist: Annotated[
        Path | None, _option("--conflist", "CONFLIST", "Network configuration to install too.")
    ] = None,
    conflist_dir: ConflistFolder = "/etc/cni/net.d",
    hide_others: Annotated[
        bool,
        typer.Option(
            "--hide-others", help="Install the conflist even if it replaces another network for new pods."
        ),
    ] = False,
    allow_forwarding: Annotated[
        bool,
        typer.Option(
            "--allow-forwarding",
            help="Have other firewalls of this machine accept what containers send and get.",
        ),
    ] = False,
) -> None:
    """Install plugins, node.json and credentials on a node, and a network configuration if one is given."""
    options = InstallOptions(
        executables=executables,
        architecture=architecture,
        bin_dir=bin_dir,
        endpoints=tuple(endpoint or ()),
        cluster=cluster,
        node=node,
        ca=ca_file,
        certificate=cert_file,
        key=key_file,
        token=token_file,
        join_token=join_token_file,
        leases=leases,
        conflist=conflist,
        conflist_dir=conflist_dir,
        hide_others=hide_others,
        allow_forwarding=allow_forwarding,
    )
    put(Root(root), options)


@application.command("uninstall")
def uninstall(
    root: RootFolder = Path("/"),
    purge: Annotated[bool, typer.Option("--purge", help="Also remove secret, token and spool.")] = False,
    bridges: Annotated[
        bool,
        typer.Option(
            "--bridges",
            help="Also remove this machine's bridge of the network, if nothing is connected to it.",
        ),
    ] = False,
    pod_network: Annotated[
        bool,
        typer.Option(
            "--pod-network", help="Also remove this machine's routes, tunnel and filters between nodes."
        ),
    ] = False,
) -> None:
    """Give up the lease of the node, then remove what `install` wrote, and nothing else."""
    try:
        take_back(Root(root), purge=purge, bridges=bridges)
    except NothingInstalled:  # an earlier try may have got so far and no further
        if not pod_network:
            raise
    if pod_network:
        from node_agent.pod_network.withdrawal import withdraw

        withdraw()


@application.command("give-back")
def give_back(node_json: NodeJson = DEFAULT_NODE_JSON) -> None:
    """Give back the addresses that this node holds in advance, and report what became of the others.

    The agent must not run. The exit code is 1 if something is left; it takes 20 seconds at most.
    """
    from node_agent.leasing.leaving import give_back as leave

    say(leave(node_json) or "this node has no lease")


@application.command("run")
def run(
    context: typer.Context,
    node_json: NodeJson = DEFAULT_NODE_JSON,
    socket: Socket = DEFAULT_SOCKET,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            envvar="IPAMD_AGENT_PORT",
            min=1,
            max=65535,
            help="Port on 127.0.0.1 for /healthz and /metrics.",
        ),
    ] = DEFAULT_PORT,
    join_token_file: Annotated[
        Path | None,
        _option("--join-token-file", "JOIN_TOKEN_FILE", f"Default: {JOIN_TOKEN}, if it exists."),
    ] = None,
    pod_network: Annotated[
        bool,
        typer.Option(
            "--pod-network",
            envvar="IPAMD_AGENT_POD_NETWORK",
            help="Carry what pods send to other nodes: routes, vxlan, masquerade.",
        ),
    ] = False,
    network_address: Annotated[
        list[str] | None,
        _option(
            "--network-address",
            "NETWORK_ADDRESS",
            "Address, prefix or interface by which other nodes reach this one; repeatable, the first counts.",
            "ADDRESS",
        ),
    ] = None,
    look_every: Annotated[
        int,
        typer.Option(
            "--look-every",
            envvar="IPAMD_AGENT_LOOK_EVERY",
            min=1,
            max=60,
            help="Seconds between two looks for containers that are gone.",
        ),
    ] = 60,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", envvar="IPAMD_AGENT_LOG_FORMAT", help="Format of the log.")
    ] = LogFormat.TEXT,
) -> None:
    """Join, serve the plugin, renew the node's token and deliver the spool, until SIGTERM or SIGINT."""
    given = join_token_file or (Path(JOIN_TOKEN) if Path(JOIN_TOKEN).exists() else None)
    options = RunOptions(
        node_json=str(node_json),
        socket=str(socket),
        port=port,
        join_token=str(given) if given else None,
        addresses=list(network_address or ()) if pod_network else None,
        look_every=look_every,
        log_format=log_format,
    )
    with os.fdopen(context.obj, "wb") as runner:
        runner.write(options.encode())


@application.command("status")
def status(node_json: NodeJson = DEFAULT_NODE_JSON, socket: Socket = DEFAULT_SOCKET) -> None:
    """Show the state of the agent. The exit code is 3 if it does not answer, or does not reach ipamd.

    If something is wrong with the pod network, the exit code is 1.
    """
    from node_agent.status import status as show

    show(node_json, socket)


@application.command("doctor")
def doctor(
    socket: Socket = DEFAULT_SOCKET,
    root: RootFolder = Path("/"),
    conflist_dir: ConflistFolder = "/etc/cni/net.d",
) -> None:
    """Look for what would break pods on this node, and ask each other node by a packet as large as pods send.

    If anything is wrong, the exit code is 1. Nothing is changed.
    """
    from node_agent.doctor.examination import Where
    from node_agent.doctor.examination import doctor as examine

    examine(Where(socket, Root(root), conflist_dir))


@application.callback()
def options(version: Annotated[bool, version_option("ipamd-agent")] = False) -> None:
    del version  # its callback has ended the program if it is given
