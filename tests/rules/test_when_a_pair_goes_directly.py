"""A pair goes directly while the probes of both ends are answered."""

from ipaddress import ip_address

import pytest

from node_agent.pod_network.network import Mode
from node_agent.pod_network.probe import MISSES, Pairs, Probe, decode, encode
from node_agent.pod_network.probing import ends
from tests.rules.pods import network, peer

ONE, TWO = ip_address("10.64.1.1"), ip_address("10.64.2.1")
PORT = 8751


@pytest.mark.parametrize(("source", "destination"), [("10.64.1.1", "10.64.2.1"), ("fd00::1", "fd00::2")])
@pytest.mark.parametrize("is_answer", [False, True])
@pytest.mark.parametrize("ready", [False, True])
def test_a_probe_comes_as_it_was_sent(source: str, destination: str, is_answer: bool, ready: bool) -> None:
    probe = Probe(ip_address(source), ip_address(destination), b"12345678", is_answer, ready)

    packet = encode(probe, PORT)

    assert decode(packet, PORT) == probe
    assert decode(packet, PORT + 1) is None
    assert all(decode(packet[:size], PORT) is None for size in range(len(packet)))


def test_a_packet_has_the_checksums_that_its_protocols_want() -> None:
    packet = encode(Probe(ONE, TWO, b"12345678", is_answer=False, ready=True), PORT)

    assert sum_of(packet[:20]) == 0xFFFF
    pseudo = packet[12:20] + bytes([0, 17]) + packet[24:26]
    assert sum_of(pseudo + packet[20:]) == 0xFFFF


def sum_of(data: bytes) -> int:
    total = sum(int.from_bytes(data[at : at + 2].ljust(2, b"\0"), "big") for at in range(0, len(data), 2))
    return total % 0xFFFF or 0xFFFF


class End:
    """One node of a pair."""

    def __init__(self) -> None:
        self.pairs = Pairs()
        self.pairs.keep({"peer"})
        self.sent = 0

    def probe(self) -> Probe:
        self.sent += 1
        nonce = self.sent.to_bytes(8, "big")
        self.pairs.send("peer", nonce)
        return Probe(ONE, TWO, nonce, is_answer=False, ready=self.pairs.is_ready("peer"))

    def answer(self, probe: Probe) -> Probe:
        self.pairs.hear("peer", probe)
        return Probe(TWO, ONE, probe.nonce, is_answer=True, ready=self.pairs.is_ready("peer"))

    def hear(self, probe: Probe) -> None:
        self.pairs.hear("peer", probe)

    @property
    def is_direct(self) -> bool:
        return self.pairs.direct() == {"peer"}


def test_both_ends_have_to_be_answered() -> None:
    one, two = End(), End()

    one.hear(two.answer(one.probe()))
    assert not one.is_direct
    assert not two.is_direct

    two.hear(one.answer(two.probe()))
    assert two.is_direct

    one.hear(two.answer(one.probe()))
    assert one.is_direct


def joined() -> tuple[End, End]:
    one, two = End(), End()
    for _ in range(2):
        one.hear(two.answer(one.probe()))
        two.hear(one.answer(two.probe()))
    assert one.is_direct
    assert two.is_direct
    return one, two


def test_one_lost_probe_changes_nothing() -> None:
    one, two = joined()

    for _ in range(MISSES - 1):
        one.probe()
    one.hear(two.answer(one.probe()))

    assert one.is_direct
    assert one.pairs.is_settled("peer")


def test_if_nothing_comes_back_both_ends_take_the_tunnel_though_one_is_answered() -> None:
    one, two = joined()

    for _ in range(MISSES + 1):
        two.hear(one.answer(two.probe()))
        two.answer(one.probe())  # which is lost

    assert not one.is_direct
    two.hear(one.answer(two.probe()))
    assert not two.is_direct


def test_an_answer_to_an_earlier_probe_counts_for_nothing() -> None:
    one, two = End(), End()
    late = two.answer(one.probe())
    one.probe()

    one.hear(late)

    assert not one.pairs.is_ready("peer")


def test_an_agent_that_starts_anew_believes_what_stands() -> None:
    pairs = Pairs()

    pairs.keep({"a", "b"}, {"b"})
    assert pairs.direct() == {"b"}

    pairs.keep({"a"})
    assert pairs.names() == ["a"]


def test_only_neighbours_are_probed() -> None:
    announced = network(
        peer(1), peer(2), peer(3, "198.51.100.3", "198.51.100.0/24"), peer(4, pod_addresses=())
    )

    found = ends(announced, "node-1")

    assert found is not None
    assert found.own == ONE
    assert found.peers == {"node-2": (TWO, ip_address("192.0.2.2"))}
    assert ends(network(peer(1), peer(2), mode=Mode.VXLAN), "node-1") is None
