"""The network configuration as the main plugin reads it: every key, and what is refused."""

from typing import Any

import pytest

from cni_plugin.failure import Failure
from veth_plugin import address
from veth_plugin.configuration import Settings

Document = dict[str, Any]

ROUTED: Document = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "type": "ipamd-veth",
    "ipam": {"type": "host-local"},
}
BRIDGE: Document = {**ROUTED, "mode": "bridge"}
OF_THE_CHAIN: Document = {
    "capabilities": {"mac": True},
    "runtimeConfig": {"ips": ["10.0.0.5"]},
    "args": {"cni": {"labels": []}},
    "prevResult": {"cniVersion": "1.0.0"},
    "dns": {"nameservers": ["10.0.0.53"]},
    "cniVersions": ["1.0.0"],
    "disableCheck": True,
    "disableGC": False,
    "cni.dev/valid-attachments": [],
    "cni.dev/attachments": [],
}


def settings(values: Document, arguments: str = "") -> Settings:
    return Settings(values, arguments)


def refusal(values: Document, arguments: str = "") -> tuple[int, str]:
    with pytest.raises(Failure) as refused:
        settings(values, arguments)
    return refused.value.code, refused.value.msg


def test_routed_is_the_default_with_link_local_gateways() -> None:
    for values in (ROUTED, {**ROUTED, "mode": "routed"}, {**ROUTED, **OF_THE_CHAIN}):
        found = settings(values)

        assert (found.mode, found.bridge, found.mtu, found.mac) == ("routed", None, 0, None)
        assert {family: address.text(one) for family, one in found.gateways.items()} == {
            4: "169.254.1.1",
            6: "fe80::1",
        }


def test_bridge_mode_has_the_reference_bridges_defaults() -> None:
    bridge = settings(BRIDGE).bridge

    assert bridge is not None
    assert vars(bridge) == {
        "name": "cni0",
        "is_gateway": False,
        "is_default_gateway": False,
        "force_address": False,
        "hairpin": False,
        "mac_spoof_check": False,
        "vlan": 0,
        "detects_duplicates": False,
    }


def test_every_key_of_bridge_mode_counts() -> None:
    found = settings(
        {
            **BRIDGE,
            "bridge": "pods0",
            "isGateway": True,
            "isDefaultGateway": True,
            "forceAddress": True,
            "ipMasq": True,
            "ipMasqBackend": "nftables",
            "mtu": 1400,
            "hairpinMode": True,
            "macspoofchk": True,
            "vlan": 7,
            "mac": "02:00:00:00:00:07",
            "enabledad": True,
        }
    )

    assert found.bridge is not None
    assert vars(found.bridge) == {
        "name": "pods0",
        "is_gateway": True,
        "is_default_gateway": True,
        "force_address": True,
        "hairpin": True,
        "mac_spoof_check": True,
        "vlan": 7,
        "detects_duplicates": True,
    }
    assert (found.mtu, found.masquerades, found.mac) == (1400, True, bytes.fromhex("020000000007"))


def test_a_default_gateway_is_a_gateway() -> None:
    bridge = settings({**BRIDGE, "isDefaultGateway": True}).bridge

    assert bridge is not None
    assert bridge.is_gateway


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("169.254.7.7", {4: "169.254.7.7", 6: "fe80::1"}),
        (["fe80::7"], {4: "169.254.1.1", 6: "fe80::7"}),
        (["fe80::7", "169.254.7.7"], {4: "169.254.7.7", 6: "fe80::7"}),
    ],
)
def test_gateways_of_routed_mode_may_be_named_by_family(given: object, expected: dict[int, str]) -> None:
    found = settings({**ROUTED, "gateway": given}).gateways

    assert {family: address.text(one) for family, one in found.items()} == expected


@pytest.mark.parametrize("mode", ["routed", "bridge"])
@pytest.mark.parametrize(
    ("key", "nothing"),
    [
        ("promiscMode", False),
        ("vlanTrunk", []),
        ("preserveDefaultVlan", True),
        ("portIsolation", False),
        ("disableContainerInterface", False),
    ],
)
def test_what_is_not_done_may_stand_there_as_long_as_it_asks_for_nothing(
    mode: str, key: str, nothing: object
) -> None:
    settings({**ROUTED, "mode": mode, key: nothing})

    code, said = refusal({**ROUTED, "mode": mode, key: [{"id": 5}] if key == "vlanTrunk" else not nothing})

    assert code == 2
    assert f'key "{key}"' in said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"isGatway": True}, 'key "isGatway" with value true is unknown; the nearest key is "isGateway"'),
        ({"ISGATEWAY": 1}, 'key "ISGATEWAY" with value 1 is unknown; the nearest key is "isGateway"'),
        ({"brige": "x"}, 'key "brige" with value "x" is unknown; the nearest key is "bridge"'),
        ({"vlanTrunks": []}, 'key "vlanTrunks" with value [] is unknown; the nearest key is "vlanTrunk"'),
        ({"ipMasqBackend": "iptables"}, 'key "ipMasqBackend" with value "iptables" is not done; '),
        ({"gateway": "169.254.1.1"}, 'key "gateway" with value "169.254.1.1" belongs to mode routed, '),
        ({"podNetwork": True}, 'key "podNetwork" with value true belongs to mode routed, '),
    ],
)
def test_an_unknown_key_is_named_with_its_value_and_the_nearest_known_one(
    values: Document, said: str
) -> None:
    code, msg = refusal({**BRIDGE, **values})

    assert (code, msg[: len(said)]) == (2, said)


@pytest.mark.parametrize(
    ("key", "value"),
    [("bridge", "cni0"), ("isGateway", True), ("vlan", 5), ("hairpinMode", True), ("macspoofchk", True)],
)
def test_a_key_of_the_bridge_is_refused_in_routed_mode(key: str, value: object) -> None:
    code, said = refusal({**ROUTED, key: value})

    assert code == 2
    assert f'key "{key}"' in said
    assert "belongs to mode bridge" in said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"mode": "router"}, 'mode: must be "routed" or "bridge", not "router"'),
        ({"mode": None}, 'mode: must be "routed" or "bridge", not null'),
        ({"isGateway": "true"}, 'isGateway: must be true or false, not "true"'),
        ({"mtu": 67}, "mtu: must be a number from 68 to 65535, or 0, not 67"),
        ({"mtu": "1500"}, 'mtu: must be a number from 68 to 65535, or 0, not "1500"'),
        ({"mtu": True}, "mtu: must be a number from 68 to 65535, or 0, not true"),
        ({"vlan": 4095}, "vlan: must be a number from 0 to 4094, or 0, not 4095"),
        ({"vlan": -1}, "vlan: must be a number from 0 to 4094, or 0, not -1"),
        ({"bridge": "a b"}, 'bridge: must be the name of an interface, of up to 15 bytes, not "a b"'),
        ({"bridge": "longer-than-15-b"}, "bridge: must be the name of an interface, of up to 15 bytes"),
        ({"bridge": ".."}, "bridge: must be the name of an interface"),
        ({"bridge": 5}, "bridge: must be the name of an interface"),
        ({"dns": []}, "dns"),
        ({"dns": {"search": "x"}}, 'dns.search is not a list of texts: "x"'),
    ],
)
def test_a_wrong_value_is_code_7_and_says_what_was_found_and_wanted(values: Document, said: str) -> None:
    code, msg = refusal({**BRIDGE, **values})

    assert (code, msg[: len(said)]) == (7, said)


@pytest.mark.parametrize(
    "gateway",
    ["10.0.0.1", "fd00::1", "fe80::/10", "gateway", 5, ["fe80::1", "fe80::2"], [["fe80::1"]], {"a": 1}, "x"],
)
def test_a_gateway_of_routed_mode_must_be_link_local(gateway: object) -> None:
    code, said = refusal({**ROUTED, "gateway": gateway})

    assert code == 7
    assert said.startswith("gateway: ")


MACS: dict[str, Document] = {
    "runtimeConfig": {"runtimeConfig": {"mac": "02:00:00:00:00:01"}},
    "args": {"args": {"cni": {"mac": "02-00-00-00-00-02"}}},
    "key": {"mac": "02:00:00:00:00:04"},
}
MAC_IN_ARGUMENTS = "IgnoreUnknown=1;MAC=02:00:00:00:00:03;K8S_POD_NAME=web"


def test_a_mac_is_taken_from_the_first_that_asks() -> None:
    everything = {**ROUTED, **MACS["runtimeConfig"], **MACS["args"], **MACS["key"]}
    order = []
    for without in ("", "runtimeConfig", "args", "arguments"):
        everything.pop(without, None)
        arguments = "" if without == "arguments" else MAC_IN_ARGUMENTS
        found = settings(everything, arguments).mac
        order.append(found[-1] if found else None)

    assert order == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "mac", ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00", "02:00", "x", 5]
)
def test_a_mac_that_no_interface_may_have_is_refused(mac: object) -> None:
    for values in ({"mac": mac}, {"runtimeConfig": {"mac": mac}}, {"args": {"cni": {"mac": mac}}}):
        code, said = refusal({**ROUTED, **values})

        assert code == 7
        assert "mac: must be" in said
    code, said = refusal(ROUTED, f"MAC={mac}")
    assert code == 4
    assert said.startswith("MAC in CNI_ARGS: must be")
