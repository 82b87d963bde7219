"""The service reads a configuration as plugin, explain and import do."""

import json
from typing import Any

import pytest

from ipamd.cni.error import CniError
from ipamd.cni.request import read_add
from tests.same_bytes import CASES, NODE, SECTIONS, Case

_CALL = b'{"container_id":"c1","netns":"/n","ifname":"eth0","path":"/b","node":"n7","config":%s}'


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_the_service_reads_a_configuration_as_everybody_does(case: Case) -> None:
    raw = _CALL % case.data(json.dumps({"type": "ipamd-ipam", **NODE}))

    if case.version:
        assert read_add(raw).caller.version == case.version
    else:
        with pytest.raises(CniError) as caught:
            read_add(raw)
        assert caught.value.code == case.code


@pytest.mark.parametrize("section", SECTIONS, ids=json.dumps)
def test_the_service_refuses_in_an_ipam_object_what_the_plugin_refuses(section: dict[str, Any]) -> None:
    config = {"name": "pods", "ipam": {"type": "ipamd-ipam", **section}}

    with pytest.raises(CniError) as caught:
        read_add(_CALL % json.dumps(config).encode())

    assert caught.value.code == 7
    assert caught.value.message.startswith(f"ipam.{next(iter(section))}: ")
