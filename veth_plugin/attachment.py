"""What the protocol's half and the kernel's half of the main plugin tell each other: plain values.

pair = kernel.make(attachment, settings)     # both ends, down; Failure 8, 7, 5 or 11, and nothing was changed
interfaces = pair.complete(layout)           # all that ADD promises; Failure if something is in its way
pair.abandon()                               # takes all of it away again, whatever of it is there
addresses = kernel.remove(attachment)        # DEL: idempotent, without namespace too
kernel.forget(addresses)                     # DEL, after the answer: entries of conntrack, within a bound
kernel.compare(attachment, settings, layout, told)   # CHECK: Failure names what differs; told is prevResult
kernel.collect(network, attachments)         # GC: removes those of the network that are not named
kernel.condition(network, settings)          # STATUS: Failure 50 or 51
"""

from __future__ import annotations


class Attachment:
    """One interface of one container in one network; `netns` is empty if the runtime knows none any more.

    `netns_override`: the namespace may be the plugin's own.
    """

    def __init__(
        self, network: str, container_id: str, ifname: str, netns: str = "", netns_override: bool = False
    ) -> None:
        self.network = network
        self.container_id = container_id
        self.ifname = ifname
        self.netns = netns
        self.netns_override = netns_override
