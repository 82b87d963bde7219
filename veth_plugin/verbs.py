"""What each verb does: the interface, and what the IPAM plugin is asked in turn."""

from __future__ import annotations

from cni_plugin.failure import (
    INVALID_CONFIGURATION,
    IO_FAILURE,
    NOT_AVAILABLE,
    TRY_AGAIN,
    UNDECODABLE,
    Failure,
    reason,
)
from cni_plugin.quoting import show
from cni_plugin.reply import note
from veth_plugin import decoding, encoding, kernel, layout
from veth_plugin.attachment import Attachment
from veth_plugin.configuration import Settings
from veth_plugin.result import Address, Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from veth_plugin.execution import Execution
    from veth_plugin.kernel.pair import Pair
    from veth_plugin.layout import Layout
    from veth_plugin.result import Interface

_ATTACHMENTS = ("cni.dev/valid-attachments", "cni.dev/attachments")


def add(execution: Execution) -> None:
    """Make the interface, ask for addresses, set everything up: all of it or nothing.

    The pair comes first: if the container has it already, this fails before anybody is asked, so that a
    repeated ADD frees nothing of a container that lives.
    """
    settings = Settings(execution.values, execution.invocation.args)
    execution.ipam()
    if settings.is_carried:
        kernel.require_pod_network(TRY_AGAIN)
    pair = kernel.make(_attachment(execution), settings)
    try:
        answer = _ask_for_addresses(execution)
    except Exception:
        _take_away(pair)
        raise
    try:
        laid = _lay_out(answer, settings)
        interfaces = pair.complete(laid)
        dns = answer.dns if settings.dns.is_empty() else settings.dns
        own = _on_last(laid.addresses, interfaces)
        _tell(execution, Result(interfaces, own, laid.told, dns, answer.prefixes))
    except Exception:
        if _take_away(pair):
            _give_back(execution)
        raise


def delete(execution: Execution) -> None:
    """Remove the interface, then free its addresses: nobody else has them while the interface is there."""
    addresses = kernel.remove(_attachment(execution))
    execution.afterwards.append(lambda: kernel.forget(addresses))
    execution.free()


def check(execution: Execution) -> None:
    """Compare what is there with what the runtime was told, and hand on."""
    settings = Settings(execution.values, execution.invocation.args)
    previous = execution.values.get("prevResult")
    if not isinstance(previous, dict):
        raise Failure(INVALID_CONFIGURATION, "prevResult: is missing, and CHECK compares with it")
    told = _decode("prevResult", previous, INVALID_CONFIGURATION)
    kernel.compare(
        _attachment(execution), settings, _lay_out(_own(told, execution), settings), told.interfaces
    )
    execution.ipam().ask("CHECK")


def collect(execution: Execution) -> None:
    """Remove what belongs to containers that are gone, and hand on; what fails is told together."""
    living = _living(execution)
    failures: list[Failure] = []
    steps: list[Callable[[], None]] = [lambda: kernel.collect(execution.network, living), execution.free]
    for step in steps:
        try:
            step()
        except Failure as failure:
            failures.append(failure)
    if failures:
        said = "; ".join([one.msg for one in failures])
        raise Failure(failures[0].code, said, "; ".join([one.details for one in failures if one.details]))


def status(execution: Execution) -> None:
    """Tell what would stop an ADD, and hand on."""
    settings = Settings(execution.values, execution.invocation.args)
    execution.ipam()
    if settings.is_carried:
        kernel.require_pod_network(NOT_AVAILABLE)
    kernel.condition(execution.network, settings)
    execution.ipam().ask("STATUS")


VERBS = {"ADD": add, "DEL": delete, "CHECK": check, "GC": collect, "STATUS": status}


def _ask_for_addresses(execution: Execution) -> Result:
    """Ask the IPAM plugin; one that fails is called again with DEL, as the specification demands."""
    ipam = execution.ipam()
    try:
        return _decode("the answer of the IPAM plugin", ipam.ask("ADD"), UNDECODABLE)
    except Failure:
        if not ipam.undoes_itself:
            _give_back(execution)
        raise


def _give_back(execution: Execution) -> None:
    """Free what an ADD took that has failed; if that fails too, the runtime's DEL does it."""
    try:
        execution.ipam().ask("DEL")
    except Failure as failure:
        note(f"what this ADD took is left to the runtime's DEL: {failure.msg}")


def _take_away(pair: Pair) -> bool:
    """Remove what an ADD made that has failed; tell whether it is gone."""
    try:
        pair.abandon()
    except Failure as failure:
        note(f"what this ADD made is left to the runtime's DEL: {failure.msg}")
        return False
    return True


def _lay_out(answer: Result, settings: Settings) -> Layout:
    if settings.bridge is None:
        return layout.routed(answer, settings.gateways)
    return layout.bridged(answer, settings.bridge)


def _tell(execution: Execution, result: Result) -> None:
    try:
        execution.reply.write(encoding.encode(result, execution.version))
    except encoding.Inexpressible as error:
        raise Failure(INVALID_CONFIGURATION, f"cniVersion: {error}") from error
    except OSError as error:
        raise Failure(IO_FAILURE, f"the result cannot be written to stdout: {reason(error)}") from error


def _decode(what: str, values: dict[str, object], code: int) -> Result:
    try:
        return decoding.decode(values)
    except decoding.Malformed as error:
        raise Failure(code, f"{what} is no result: {error}") from error


def _on_last(addresses: list[Address], interfaces: list[Interface]) -> list[Address]:
    """Put the addresses on the container's interface, which comes last."""
    last = len(interfaces) - 1
    return [Address(each.address, each.length, each.gateway, last) for each in addresses]


def _own(told: Result, execution: Execution) -> Result:
    """Give what a result tells of this invocation's interface: a chain may have added others."""
    others = [
        number
        for number, each in enumerate(told.interfaces)
        if not each.sandbox or each.name != execution.invocation.ifname
    ]
    own = [each for each in told.addresses if each.interface not in others]
    return Result(told.interfaces, own, told.routes, told.dns)  # of prefixes the host side tells


def _attachment(execution: Execution) -> Attachment:
    invocation = execution.invocation
    return Attachment(
        execution.network,
        invocation.container_id,
        invocation.ifname,
        invocation.netns,
        invocation.netns_override,
    )


def _living(execution: Execution) -> list[Attachment]:
    """Read which attachments are alive; Failure 7 if that is not said, for then all would be dead."""
    for key in _ATTACHMENTS:
        given = execution.values.get(key)
        if given is not None:
            break
    else:
        raise Failure(INVALID_CONFIGURATION, f"{_ATTACHMENTS[0]}: is missing, and GC spares what it names")
    found: list[Attachment] = []
    for entry in given if isinstance(given, list) else [given]:
        values = entry if isinstance(entry, dict) else {}
        container_id, ifname = values.get("containerID"), values.get("ifname")
        if not isinstance(container_id, str) or not isinstance(ifname, str):
            why = "must be a list of objects with containerID and ifname"
            raise Failure(INVALID_CONFIGURATION, f"{key}: {why}, not {show(given)}")
        found.append(Attachment(execution.network, container_id, ifname))
    return found
