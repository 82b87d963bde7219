"""`ipamctl explain`: which addresses an ADD would get, and why."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import uuid4

import typer

from ipamd.ctl.failure import CommandFailed, ExitCode
from ipamd.ctl.render import print_line, print_record, print_table
from ipamd.ctl.session import CommandSession, command
from ipamd.models.network_file import NotOurs, configuration_for_ipamd
from ipamd.models.pool import DEFAULT_CLUSTER
from ipamd.models.strict_json import parse_configuration

EXPLAIN: Final = "/v1/explain"
COLUMNS: Final = ("ADDRESS", "POOL", "STANDING", "WHY")
ANNOTATIONS: Final = "io.kubernetes.cri.pod-annotations"
VERSION: Final = "1.1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """Which container asks: one that nobody knows, unless it is named."""

    network: Annotated[
        str | None,
        typer.Option(
            "--network", metavar="NAME", help="CNI network. Default: that of --file, else `default`."
        ),
    ] = None
    cluster: Annotated[
        str | None,
        typer.Option("--cluster", metavar="NAME", help="Default: that of --file, else `default`."),
    ] = None
    node: Annotated[
        str | None,
        typer.Option(
            "--node",
            metavar="NAME",
            help="Node of the container. Default: that of --file, else `none`, a node without labels.",
        ),
    ] = None
    namespace: Annotated[
        str | None, typer.Option("--namespace", metavar="NAME", help="Namespace of the pod.")
    ] = None
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name of the pod.")] = None
    container: Annotated[
        str | None,
        typer.Option("--container", metavar="ID", help="An existing container. Default: a new one."),
    ] = None
    interface: Annotated[str, typer.Option("--interface", metavar="NAME")] = "eth0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the container asks for, in addition to its configuration or in place of it."""

    pool: Annotated[
        list[str] | None,
        typer.Option(
            "--pool",
            metavar="NAME[,NAME...]",
            help="Ask for an address of each of these pools; repeatable. Written as `ipamd.io/pools`: "
            '`[["a","b"]]` asks for one of a, or of b if a has none.',
        ),
    ] = None
    address: Annotated[
        list[str] | None,
        typer.Option("--address", metavar="ADDRESS", help="Ask for this address; repeatable."),
    ] = None
    annotation: Annotated[
        list[str] | None,
        typer.Option("--annotation", metavar="KEY=VALUE", help="Annotation of the pod; repeatable."),
    ] = None
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="CNI network configuration, or a list of them."),
    ] = None


def register(application: typer.Typer) -> None:
    """Add `explain` to the command."""
    command(application, "explain")(explain)


def explain(session: CommandSession, container: Container, wishes: Wishes) -> None:
    """Show which addresses an ADD would get, and for each pool whether it would serve. Nothing is taken."""
    configuration = _configuration(wishes.file)
    found = session.client.post(EXPLAIN, _call(configuration, container, wishes)).body
    if not session.for_people:
        session.show_document(found)
        return
    if found["pools"]:
        print_table(COLUMNS, [_row(each) for each in found["pools"]])
        print_line("")
    for remark in _remarks(found):
        print_line(remark)
    print_record(_answer(found))


def _row(considered: dict[str, Any]) -> tuple[Any, ...]:
    position = considered["position"]
    number = position + 1 if position is not None else None
    return (number, considered["pool"], considered["standing"], considered["why"])


def _remarks(found: dict[str, Any]) -> list[str]:
    more = found["unlisted"]
    return [*([f"{more} more pools are not listed"] if more else []), *found["remarks"]]


def _answer(found: dict[str, Any]) -> dict[str, Any]:
    error, result = found["error"], found["result"]
    if error is not None:
        return {"answer": "refused", "code": error["code"], "message": error["msg"]}
    return {
        "answer": "the same as before" if found["repeated"] else "granted",
        **{key: value for key, value in result.items() if key != "cniVersion"},
    }


def _call(config: dict[str, Any], container: Container, wishes: Wishes) -> dict[str, Any]:
    """The body of the ADD."""
    if container.network is not None:
        config["name"] = container.network
    if wishes.pool:
        config["ipam"] = {**config["ipam"], "pools": [slot for text in wishes.pool for slot in _slots(text)]}
    if wishes.address:
        arguments = _object(config, "args")
        config["args"] = {**arguments, "cni": {**_object(arguments, "cni"), "ips": wishes.address}}
    if wishes.annotation:
        _annotate(config, dict(_pair(text) for text in wishes.annotation), wishes.file)
    workload = {"K8S_POD_NAMESPACE": container.namespace, "K8S_POD_NAME": container.name}
    return {
        "container_id": container.container or f"explain-{uuid4()}",
        "netns": "/run/netns/explain",
        "ifname": container.interface,
        "args": ";".join(f"{key}={value}" for key, value in workload.items() if value is not None),
        "path": "/opt/cni/bin",
        "cluster": container.cluster or _own(config, "cluster") or DEFAULT_CLUSTER,
        "node": container.node or _own(config, "node") or "none",
        "config": config,
    }


def _configuration(file: Path | None) -> dict[str, Any]:
    """What `ipamd-ipam` gets on stdin, with the network configuration of a file."""
    if file is None:
        return {"cniVersion": VERSION, "name": "default", "ipam": {}}
    try:
        return configuration_for_ipamd(parse_configuration(file.read_bytes()))
    except OSError as error:
        raise CommandFailed(f"cannot read {file}: {error.strerror}", ExitCode.USAGE) from None
    except NotOurs as error:
        raise CommandFailed(f"{file} {error}", ExitCode.USAGE) from None
    except ValueError as error:
        raise CommandFailed(f"{file} is not JSON: {error}", ExitCode.USAGE) from None


def _annotate(config: dict[str, Any], annotations: dict[str, str], file: Path | None) -> None:
    """Put in the pod's annotations, as a runtime does if the configuration declares the capability."""
    if file is not None and _object(config, "capabilities").get(ANNOTATIONS) is not True:
        typer.echo(
            f"{file} does not declare the capability {ANNOTATIONS}: without it no annotation reaches an ADD",
            err=True,
        )
    config["runtimeConfig"] = {**_object(config, "runtimeConfig"), ANNOTATIONS: annotations}


def _own(config: dict[str, Any], key: str) -> str | None:
    """What the configuration says of the node; what is no name there is refused as in an ADD."""
    found = config["ipam"].get(key)
    return found if isinstance(found, str) else None


def _object(config: dict[str, Any], key: str) -> dict[str, Any]:
    found = config.get(key)
    return found if isinstance(found, dict) else {}


def _slots(text: str) -> list[Any]:
    """The pools for each address, in the notation of the annotation `ipamd.io/pools`."""
    if not text.startswith("["):
        return [name.strip() for name in text.split(",")]
    try:
        return list(json.loads(text))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not a JSON list: {error}", param_hint="--pool") from None


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE", param_hint="--annotation")
    return key, value
