"""The kernel's half of the main plugin: what `attachment` says of it.

Functions import what they do when they do it: of a verb's work no other verb needs anything.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from veth_plugin.attachment import Attachment
    from veth_plugin.configuration import Settings
    from veth_plugin.kernel.pair import Pair
    from veth_plugin.layout import Layout
    from veth_plugin.result import Interface


def require_pod_network(code: int) -> None:
    """Failure, of a code, until the network that the node's agent carries stands in this boot."""
    from veth_plugin.kernel import carried

    carried.require(code)


def make(attachment: Attachment, settings: Settings) -> Pair:
    """Make the pair of an attachment, both ends down; Failure if that cannot be, with nothing changed."""
    from veth_plugin.kernel import pair

    return pair.make(attachment, settings)


def remove(attachment: Attachment) -> list[bytes]:
    """Remove what ADD made, whatever of it is there; give its addresses. Failure 5."""
    from veth_plugin.kernel import removal

    return removal.remove(attachment)


def forget(addresses: list[bytes]) -> None:
    """Forget, within a bound, the connections that the node tracks of addresses whose container is gone."""
    from veth_plugin.kernel import tracking

    tracking.forget(addresses)


def compare(attachment: Attachment, settings: Settings, layout: Layout, told: list[Interface]) -> None:
    """Compare what is there with what ADD set up; a Failure names all that differs."""
    from veth_plugin.kernel import inspection

    inspection.compare(attachment, settings, layout, told)


def collect(network: str, living: list[Attachment]) -> None:
    """Remove what is left of the network's containers that are not named; Failure 5."""
    from veth_plugin.kernel import removal

    removal.collect(network, living)


def condition(network: str, settings: Settings) -> None:
    """Failure 50 if no ADD could be done, 51 if containers of the network do without what they need."""
    from veth_plugin.kernel import inspection

    inspection.condition(network, settings)
