"""Containers under Debian's bridge that live on while service and plugin become another version, and back."""

from pathlib import Path

from tests.faults.upgrade.version import Version
from tests.network.conftest import (
    DEBIAN_PLUGINS,
    ipam_section,
    node,
    plugin_folder,
)
from tests.network.namespace import MakeNamespace, Namespace
from tests.network.plugin import Attachment, Document, Runtime, addresses
from tests.service import IpamdProcess

__all__ = ["node"]

SUBNETS = {"v4": "10.61.0.0/24", "v6": "fd00:61::/64"}


def become(version: Version, service: IpamdProcess, plugins: Path) -> None:
    """Put a version in the place of service and plugin; an executable is renamed over the other."""
    service.stop()
    service.executables = version.executables
    service.start()
    beside = plugins / ".ipamd-ipam"
    beside.symlink_to(version.plugin)
    beside.rename(plugins / "ipamd-ipam")


def bare(result: Document) -> set[str]:
    """The addresses of a result, without prefix length."""
    return {address.partition("/")[0] for address in addresses(result)}


def test_a_container_lives_on_through_an_update_and_back(
    service: IpamdProcess,
    scratch: Path,
    node: Namespace,
    make_namespace: MakeNamespace,
    before: Version,
    now: Version,
) -> None:
    plugins = plugin_folder(scratch / "bin", DEBIAN_PLUGINS, before.plugin)
    runtime = Runtime(node, plugins)
    become(before, service, plugins)
    for pool, subnet in SUBNETS.items():
        service.create_pool(pool, subnet, cooldown=0)
    config: Document = {"cniVersion": "1.0.0", "name": "pods", "type": "bridge", "bridge": "cni0"}
    config |= {"isGateway": True, "ipam": ipam_section(service, scratch, list(SUBNETS))}
    containers = [make_namespace(name) for name in ("old", "older", "new")]
    old, older, new = (Attachment(each.name, str(each.path)) for each in containers)
    told_old, told_older = runtime.add(config, old), runtime.add(config, older)

    become(now, service, plugins)

    told_new = runtime.add(config, new)
    assert containers[0].addresses("eth0") == addresses(told_old)
    for address in bare(told_older) | bare(told_new):
        containers[0].ping(address)
    runtime.check(config, old, told_old)
    runtime.delete(config, older)
    assert service.addresses() == bare(told_old) | bare(told_new)

    become(before, service, plugins)

    for address in bare(told_old):
        containers[2].ping(address)
    runtime.check(config, old, told_old)
    runtime.check(config, new, told_new)
    runtime.delete(config, old)
    runtime.delete(config, new)
    assert service.addresses() == set()
