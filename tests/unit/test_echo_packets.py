"""Echo requests that carry an address of no device as their source, and the answers to them."""

from ipaddress import ip_address

import pytest

from node_agent.pod_network import packet

MARK = b"\x12\x34"
ENDS = [("10.64.1.1", "10.64.2.1"), ("fd00::1", "fd00::2")]


@pytest.mark.parametrize(("source", "destination"), ENDS)
def test_a_request_has_the_checksums_that_its_protocols_want(source: str, destination: str) -> None:
    request = packet.echo_request(ip_address(source), ip_address(destination), MARK, 64)

    if request[0] >> 4 == 4:
        assert packet.checksum(request[:20]) == 0
        assert packet.checksum(request[20:]) == 0
    else:
        ends = ip_address(source), ip_address(destination)
        pseudo = packet.pseudo_header(*ends, 58, len(request) - 40)
        assert packet.checksum(pseudo + request[40:]) == 0


@pytest.mark.parametrize(("source", "destination"), ENDS)
def test_an_answer_says_from_whom_it_is_and_to_which_request(source: str, destination: str) -> None:
    asked = packet.echo_request(ip_address(destination), ip_address(source), MARK, 64)
    protocol, request, answer = packet.ECHO[ip_address(source).version]
    start = 20 if protocol == 1 else 40
    answered = asked[:start] + bytes([answer]) + asked[start + 1 :]

    assert packet.echo_answer(answered) == (ip_address(destination).packed, MARK)
    assert asked[start] == request
    assert packet.echo_answer(asked) is None
    assert all(packet.echo_answer(answered[:size]) is None for size in range(start + 6))
