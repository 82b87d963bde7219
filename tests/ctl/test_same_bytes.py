"""`ipamctl explain -f`, `POST /v1/explain` and `ipamctl import` read a configuration as the plugin does."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.ctl.conftest import Ipamctl
from tests.same_bytes import CASES, NODE, SECTIONS, Case
from tests.service import IpamdProcess

_SECTION = json.dumps({"type": "ipamd-ipam", **NODE})


@pytest.fixture
def ipamctl(lasting_ipamd: IpamdProcess, scratch: Path) -> Ipamctl:
    if not lasting_ipamd.http.get("/v1/pools/same").is_success:
        lasting_ipamd.create_pool("same", "10.88.0.0/24", selectors={"nodes": ["n7"], "clusters": ["east"]})
    return Ipamctl(scratch, {"IPAMD_ENDPOINT": lasting_ipamd.tcp_endpoint})


def explained(ipamctl: Ipamctl, data: bytes) -> tuple[str, int]:
    """The version of the answer and the code of the refusal; what is not JSON is the plugin's code 6."""
    file = ipamctl.home / "network.conf"
    file.write_bytes(data)
    done = ipamctl.run("explain", "-f", str(file), "-o", "json")
    if done.returncode == 2:
        assert "is not JSON" in done.stderr
        return "", 6
    document = json.loads(done.stdout)
    if document["error"] is not None:
        return "", document["error"]["code"]
    return document["result"]["cniVersion"], 0


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_explain_reads_a_file_as_the_plugin_reads_its_stdin(
    ipamctl: Ipamctl, lasting_ipamd: IpamdProcess, case: Case
) -> None:
    data = case.data(_SECTION)
    call = b'{"container_id":"c1","netns":"/n","ifname":"eth0","path":"/b","cluster":"east","node":"n7"'

    answer = lasting_ipamd.http.post(
        "/v1/explain",
        content=call + b',"config":' + data + b"}",
        headers={"content-type": "application/json"},
    )
    posted = answer.json()

    assert explained(ipamctl, data) == (case.version, case.code)
    if case.version:
        assert posted["result"]["cniVersion"] == case.version
    elif case.code == 6 and "error" not in posted:  # a body that is no JSON at all is none of an ADD either
        assert (answer.status_code, posted["code"]) == (400, "invalid-json")
    else:
        assert posted["error"]["code"] == case.code


@pytest.mark.parametrize("section", SECTIONS[::4], ids=json.dumps)
def test_explain_refuses_what_the_plugin_refuses(ipamctl: Ipamctl, section: dict[str, Any]) -> None:
    config = {"cniVersion": "1.0.0", "name": "pods", "ipam": {"type": "ipamd-ipam", **NODE, **section}}

    assert explained(ipamctl, json.dumps(config).encode()) == ("", 7)


def test_import_reads_in_a_cached_result_whom_the_plugin_spoke_for(ipamctl: Ipamctl) -> None:
    """Of a configuration that no plugin takes there can be no result: only what is not JSON says nothing."""
    folder = ipamctl.home / "results"
    folder.mkdir()
    speaks_for = {}
    for number, case in enumerate(CASES):
        document = {
            "kind": "cniCacheV1",
            "containerId": f"c{number}",
            "config": base64.b64encode(case.data(_SECTION)).decode(),
            "ifName": "eth0",
            "networkName": "pods",
            "result": {"cniVersion": "", "ip4": {"ip": f"192.0.2.{number + 1}/24"}},
        }
        (folder / f"pods-c{number:02}-eth0").write_text(json.dumps(document))
        speaks_for[f"pods-c{number:02}-eth0"] = case.code != 6

    done = ipamctl.run("import", str(folder), "--node", "other", "--dry-run", "-o", "json")

    items = {item["file"]: item for item in json.loads(done.stdout)["items"]}
    assert {file: item["outcome"] == "refused" for file, item in items.items()} == speaks_for
    assert items["pods-c00-eth0"]["why"] == "its configuration names cluster east and node n7"
