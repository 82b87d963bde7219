"""`ipamctl token` and `ipamctl node forget`."""

import json
import re
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from tests.ctl.conftest import Ipamctl
from tests.service import IpamdProcess

SHAPE = re.compile(r"ipamd_[A-Za-z0-9_-]{43}\n")


@pytest.fixture
def admin(ipamctl: Ipamctl, ipamd_process: IpamdProcess) -> Ipamctl:
    """`ipamctl` with the first token, in a file."""
    file = ipamd_process.folder / "token"
    file.write_text(ipamctl("token", "create", "admin", "--name", "ann"))
    return Ipamctl(ipamctl.home, {**ipamctl.environment, "IPAMD_TOKEN_FILE": str(file)})


def test_a_token_is_printed_alone_so_that_it_goes_into_a_file(admin: Ipamctl) -> None:
    assert SHAPE.fullmatch(admin("token", "create", "reader"))


def test_a_token_for_programs_is_printed_with_what_it_is_good_for(admin: Ipamctl) -> None:
    made = admin.json("token", "create", "node", "--cluster", "east", "--node", "n1", "--expires", "90d")

    assert SHAPE.fullmatch(made["token"] + "\n")
    assert (made["role"], made["cluster"], made["node"], made["created_by"]) == (
        "node", "east", "n1", "ann (token 1)",
    )  # fmt: skip
    assert made["expires"] is not None


def test_tokens_are_listed_and_revoked_by_their_number(admin: Ipamctl, ipamd_process: IpamdProcess) -> None:
    text = admin("token", "create", "join", "--cluster", "east", "--name", "racks").strip()
    number = admin.json("token", "list")["items"][-1]["id"]

    listed = admin("token", "list")
    said = admin("token", "revoke", str(number))

    assert "racks" in listed
    assert text not in listed
    assert said == f"token {number} is revoked\n"
    assert [item["id"] for item in admin.json("token", "list")["items"]] == [1]
    assert admin.refused("token", "revoke", str(number)) == (
        f"there is no token '{number}': `ipamctl token list` shows what there is"
    )


def test_without_a_token_one_sentence_says_what_is_missing(admin: Ipamctl, ipamctl: Ipamctl) -> None:
    assert "this request needs a token" in ipamctl.refused("pool", "list")


@pytest.mark.parametrize(
    "arguments",
    [["root"], ["admin", "--expires", "soon"], ["admin", "--expires", "99999999999d"], []],
)
def test_a_token_that_makes_no_sense_is_a_wrong_command_line(ipamctl: Ipamctl, arguments: list[str]) -> None:
    assert ipamctl.run("token", "create", *arguments).returncode == 2


def test_a_token_that_ipamd_refuses_is_one_sentence(ipamctl: Ipamctl) -> None:
    assert "a node token needs a node" in ipamctl.refused("token", "create", "node", "--cluster", "c")


def test_a_node_that_is_forgotten_joins_anew(admin: Ipamctl, ipamd_process: IpamdProcess) -> None:
    joiner = admin("token", "create", "join", "--cluster", "default").strip()

    def join(secret: bytes) -> httpx.Response:
        body = {"node": "n1", "proof": sha256(secret).hexdigest()}
        headers = {"Authorization": f"Bearer {joiner}"}
        return ipamd_process.http.post("/v1/nodes/join", json=body, headers=headers)

    assert join(b"first").status_code == 201
    assert join(b"second").status_code == 409

    said = admin("node", "forget", "n1")

    assert said == "node n1 of cluster default is forgotten, and its tokens are revoked\n"
    assert join(b"second").status_code == 201
    assert admin.refused("node", "forget", "n2") == (
        "there is no node 'n2': `ipamctl node list` shows what there is"
    )


def test_the_profile_holds_where_ipamd_is_and_the_token(
    admin: Ipamctl, ipamd_process: IpamdProcess, scratch: Path
) -> None:
    folder = scratch / "home" / ".config" / "ipamd"
    folder.mkdir(parents=True)
    (folder / "token").write_text((ipamd_process.folder / "token").read_text())
    (folder / "profile.toml").write_text(
        f'endpoint = {json.dumps(ipamd_process.tcp_endpoint)}\ntoken_file = "token"\n'
    )

    assert Ipamctl(scratch / "home", {}).run("pool", "list").returncode == 0
