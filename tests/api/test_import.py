"""`POST /v1/import`: what is refused of it, and by which words."""

from typing import Any

import httpx
import pytest

from tests.api.conftest import NewPool


def attachment(**changes: Any) -> dict[str, Any]:
    return {"container_id": "c1", "network": "pods", "ifname": "eth0", "addresses": ["10.9.9.9"], **changes}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ifname": "eth\0"}, "attachments[0].ifname"),
        ({"ifname": "a" * 16}, "attachments[0].ifname"),
        ({"ifname": "a/b"}, "attachments[0].ifname"),
        ({"container_id": "../x"}, "attachments[0].container_id"),
        ({"container_id": "c1\n"}, "attachments[0].container_id"),
        ({"network": ""}, "attachments[0].network"),
        ({"addresses": []}, "attachments[0].addresses"),
        ({"addresses": ["10.9.9.9/24"]}, "attachments[0].addresses[0]"),
        ({"name": "a\0b"}, "attachments[0].name"),
        ({"address": "10.9.9.9"}, "attachments[0].address"),
    ],
)
def test_what_cannot_be_meant_is_named(http: httpx.Client, changes: dict[str, Any], field: str) -> None:
    answer = http.post("/v1/import", json={"node": "n1", "attachments": [attachment(**changes)]})

    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.json()["errors"]]


def test_an_address_of_another_space_is_outside(http: httpx.Client, new_pool: NewPool) -> None:
    space = {"space": "import-lab"}
    pool = new_pool(**space)
    address = pool["subnet"].replace(".0/24", ".9")
    body = {"node": "space-node", "attachments": [attachment(addresses=[address, address])]}

    in_default = http.post("/v1/import", json=body).json()["items"][0]
    in_its_own = http.post("/v1/import", json={**body, **space}).json()["items"][0]

    assert (in_default["outcome"], in_default["outside"]) == ("outside", [address])
    assert (in_its_own["outcome"], in_its_own["addresses"]) == ("taken", [address])
