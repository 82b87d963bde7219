"""Tokens: how they are made, told once, listed, used, and come to their end."""

import json
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.access.conftest import Caller, NewCaller
from tests.api.plugin_call import call
from tests.ctl.test_ipamd_command import ipamd
from tests.service import IpamdProcess
from tests.waiting import eventually

SHAPE = r"ipamd_[A-Za-z0-9_-]{43}"


def entry(admin: Caller, number: int) -> dict[str, Any]:
    found: dict[str, Any] = admin.get(f"/v1/tokens/{number}").json()
    return found


def test_a_tokens_text_is_told_once_and_kept_nowhere(admin: Caller, guarded: IpamdProcess) -> None:
    number, text = admin.token_for("reader", name="grafana")

    listed = admin.get("/v1/tokens").text
    one = admin.get(f"/v1/tokens/{number}").text

    assert len(text) == 49
    assert "grafana" in listed
    for shown in (listed, one, guarded.log.read_text()):
        assert "ipamd_" not in shown.replace("ipamd token create", "")
    kept = b"".join(path.read_bytes() for path in guarded.folder.glob("ipamd.sqlite*"))
    assert b"grafana" in kept
    assert text.encode() not in kept
    assert text.removeprefix("ipamd_").encode() not in kept


def test_no_two_tokens_are_alike(admin: Caller) -> None:
    texts = {admin.token_for("reader")[1] for _ in range(20)}

    assert len(texts) == 20


def test_tokens_are_listed_oldest_first_page_by_page(admin: Caller) -> None:
    made = [admin.token_for("join", cluster=f"c-{number}")[0] for number in range(3)]

    pages: list[int] = []
    cursor = None
    while True:
        page = admin.get("/v1/tokens", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        pages += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break

    assert pages == sorted(pages)
    assert pages[-3:] == made


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "role"),
        ({"role": "root"}, "role"),
        ({"role": "node"}, "node"),
        ({"role": "node", "cluster": "default"}, "node"),
        ({"role": "node", "node": "n1"}, "cluster"),
        ({"role": "join"}, "cluster"),
        ({"role": "join", "cluster": "default", "node": "n1"}, "node"),
        ({"role": "admin", "cluster": "default"}, "cluster"),
        ({"role": "reader", "node": "n1"}, "node"),
        ({"role": "admin", "expires": "2020-01-01T00:00:00Z"}, "expires"),
        ({"role": "admin", "expires": "tomorrow"}, "expires"),
        ({"role": "admin", "name": "node default/n1"}, "name"),
        ({"role": "node", "cluster": "default", "node": "a\nb"}, "node"),
        ({"role": "node", "cluster": "default", "node": "n1 "}, "node"),
        ({"role": "admin", "token": "ipamd_" + "A" * 43}, "token"),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(admin: Caller, body: dict[str, Any], field: str) -> None:
    before = admin.get("/v1/tokens").json()["items"]

    answer = admin.post("/v1/tokens", body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert len(admin.get("/v1/tokens").json()["items"]) == len(before)


def test_a_token_is_good_until_it_expires(admin: Caller) -> None:
    ends = datetime.now(UTC) + timedelta(seconds=1.5)
    number, text = admin.token_for("reader", expires=ends.isoformat())
    reader = Caller(admin.service, text)

    before = reader.get("/v1/pools")
    while datetime.now(UTC) < ends:
        time.sleep(0.05)
    after = reader.get("/v1/pools")

    assert before.status_code == 200
    assert (after.status_code, after.json()["code"]) == (401, "unauthenticated")
    assert "expired at" in after.json()["detail"]
    assert entry(admin, number)["expires"] is not None


def test_a_revoked_token_is_refused_at_once_and_is_listed_no_more(admin: Caller) -> None:
    number, text = admin.token_for("reader")
    reader = Caller(admin.service, text)
    assert reader.get("/v1/pools").status_code == 200

    revoked = admin.ask("DELETE", f"/v1/tokens/{number}")

    assert revoked.status_code == 204
    assert reader.get("/v1/pools").status_code == 401
    assert admin.get(f"/v1/tokens/{number}").status_code == 404
    assert admin.ask("DELETE", f"/v1/tokens/{number}").status_code == 404


def test_who_made_a_token_and_when_it_was_last_used_is_shown(admin: Caller) -> None:
    begun = datetime.now(UTC)
    number, text = admin.token_for("reader")
    unused = entry(admin, number)

    Caller(admin.service, text).get("/v1/pools")

    assert unused["last_used"] is None
    assert unused["created_by"].startswith("ann (token ")
    assert datetime.fromisoformat(entry(admin, number)["last_used"]) >= begun


def test_when_a_token_was_last_used_outlives_the_process(ipamd_process: IpamdProcess) -> None:
    admin = Caller(ipamd_process, Caller(ipamd_process, None).token_for("admin")[1])
    number, text = admin.token_for("reader")
    Caller(ipamd_process, text).get("/v1/pools")
    before = entry(admin, number)
    ipamd_process.stop()

    ipamd_process.start()

    assert before["last_used"] is not None
    assert entry(admin, number) == before


def test_whoever_changed_something_stands_in_the_log(admin: Caller, guarded: IpamdProcess) -> None:
    number, text = admin.token_for("admin", name="bob")
    bob = Caller(guarded, text)

    bob.post("/v1/pools", {"name": "bobs", "subnet": "10.77.0.0/24"})
    bob.ask("PUT", "/v1/nodes/default/labelled", {"labels": {"a": "b"}})
    bob.ask("DELETE", "/v1/pools/bobs")

    lines = guarded.logged(f'by="bob (token {number})"', times=3)
    assert [line.split("outcome=")[1].split()[0] for line in lines] == ["created", "labelled", "deleted"]


@pytest.mark.usefixtures("pool")
def test_calls_that_share_a_connection_are_each_their_own_callers(
    admin: Caller, node: Caller, guarded: IpamdProcess
) -> None:
    wanted = [
        (admin, "/v1/reservations", {"address": "10.0.0.9", "owner": "shared"}),
        (node, "/v1/cni/add", call("shared")),
    ]
    raw = b""
    for caller, path, body in wanted:
        content = json.dumps(body).encode()
        raw += f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
        raw += f"Authorization: Bearer {caller.token}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        raw += content

    with socket.create_connection(("127.0.0.1", guarded.port), timeout=20) as pipeline:
        pipeline.sendall(raw)
        answers = b""
        while answers.count(b"HTTP/1.1 2") < len(wanted) or b'"ips"' not in answers:
            answers += pipeline.recv(65536)

    lines = guarded.logged("shared", times=len(wanted))
    assert ['by="ann' in line for line in lines] == [True, False], lines


@pytest.mark.usefixtures("pool")
def test_whoever_gave_or_took_an_address_stands_in_its_history(admin: Caller) -> None:
    number, text = admin.token_for("admin", name="bob")
    bob = Caller(admin.service, text)
    given = bob.post("/v1/allocations", {"owner": "vm", "pool": "pods"}).json()
    taken = admin.post("/v1/cni/add", call("c1")).json()["ips"][0]["address"].split("/")[0]

    for item in admin.get("/v1/allocations").json()["items"]:
        bob.ask("DELETE", f"/v1/allocations/{item['id']}")

    [vm] = admin.get("/v1/history", params={"address": given["address"]}).json()["items"][:1]
    [container] = admin.get("/v1/history", params={"address": taken}).json()["items"][:1]
    assert (vm["begun_by"], vm["ended_by"]) == (f"bob (token {number})",) * 2
    assert (container["begun_by"], container["ended_by"]) == (None, f"bob (token {number})")


@pytest.mark.usefixtures("pool")
def test_whoever_took_what_a_dead_node_held_stands_in_its_history(admin: Caller) -> None:
    number, text = admin.token_for("admin", name="bob")
    taken = admin.post("/v1/cni/add", call("c1", node="gone")).json()["ips"][0]["address"].split("/")[0]

    Caller(admin.service, text).post(
        "/v1/nodes/default/gone/release", {"why": "its disk burnt", "even_if_alive": True}
    )

    [item] = admin.get("/v1/history", params={"address": taken}).json()["items"][:1]
    assert (item["ended_by"], item["reason"]) == (f"bob (token {number})", "its disk burnt")


@pytest.mark.usefixtures("pool")
def test_idempotency_keys_are_each_tokens_own(new_caller: NewCaller) -> None:
    ann, bob = new_caller("admin", name="ann"), new_caller("admin", name="bob")
    body, key = {"owner": "vm", "pool": "pods"}, {"Idempotency-Key": "the-key"}

    first = ann.post("/v1/allocations", body, **key).json()
    other = bob.post("/v1/allocations", {**body, "owner": "another"}, **key)
    again = ann.post("/v1/allocations", body, **key).json()

    assert again["id"] == first["id"]
    assert other.status_code == 201
    assert other.json()["address"] != first["address"]


def test_the_first_token_closes_what_was_open(ipamd_process: IpamdProcess) -> None:
    open_before = httpx.get(f"{ipamd_process.tcp_endpoint}/v1/pools").status_code
    made = Caller(ipamd_process, None).post("/v1/tokens", {"role": "admin"}).json()
    admin = Caller(ipamd_process, made["token"])

    assert open_before == 200
    assert made["created_by"] is None
    assert httpx.get(f"{ipamd_process.tcp_endpoint}/v1/pools").status_code == 401
    assert ipamd_process.http.get("/v1/pools").status_code == 401
    assert admin.get("/v1/pools").status_code == 200


def test_the_last_token_that_goes_opens_loopback_again(ipamd_process: IpamdProcess) -> None:
    admin = Caller(ipamd_process, None)
    admin = Caller(ipamd_process, admin.token_for("admin")[1])

    for item in admin.get("/v1/tokens").json()["items"]:
        assert admin.ask("DELETE", f"/v1/tokens/{item['id']}").status_code == 204

    assert httpx.get(f"{ipamd_process.tcp_endpoint}/v1/pools").status_code == 200


def test_tokens_outlive_the_process(ipamd_process: IpamdProcess) -> None:
    admin = Caller(ipamd_process, Caller(ipamd_process, None).token_for("admin")[1])
    ipamd_process.kill()

    ipamd_process.start()

    assert admin.get("/v1/pools").status_code == 200
    assert Caller(ipamd_process, None).get("/v1/pools").status_code == 401


def test_ipamd_makes_tokens_in_the_database_that_nobody_serves(scratch: Path) -> None:
    url = f"sqlite:///{scratch / 'x.sqlite'}"

    made = ipamd("token", "create", "--role", "node", "--cluster", "c", "--node", "n", "--expires", "30d",
                 "--database-url", url)  # fmt: skip

    assert (made.returncode, made.stderr) == (0, "")
    assert len(made.stdout.strip()) == 49
    refused = ipamd("token", "create", "--role", "node", "--database-url", url)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "name it" in refused.stderr


@pytest.mark.parametrize(
    ("options", "code"), [(["--expires", "soon"], 2), (["--database-url", "memory://"], 1)]
)
def test_ipamd_makes_no_token_that_nobody_could_use(options: list[str], code: int) -> None:
    refused = ipamd("token", "create", *options)

    assert (refused.returncode, refused.stdout) == (code, "")
    assert "Traceback" not in refused.stderr


def test_ipamd_makes_no_token_in_a_sqlite_database_that_another_serves(ipamd_process: IpamdProcess) -> None:
    refused = ipamd("token", "create", "--database-url", ipamd_process.database_url)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert "another ipamd uses the database" in refused.stderr


def started(service: IpamdProcess, *options: str) -> None:
    service.stop()
    service.options = options
    service.start()


def test_the_operators_own_token_is_an_admins_and_is_replaced_with_its_file(
    ipamd_process: IpamdProcess, scratch: Path
) -> None:
    file = scratch / "secret"
    first, second = (Caller(ipamd_process, "ipamd_" + letter * 43) for letter in "AB")
    file.write_text(f"{first.token}\n")
    started(ipamd_process, "--admin-token-file", str(file))

    assert first.post("/v1/pools", {"name": "p", "subnet": "10.9.0.0/24"}).status_code == 201
    assert Caller(ipamd_process, None).get("/v1/pools").status_code == 401
    assert second.get("/v1/pools").status_code == 401
    assert ipamd_process.logged('by="the admin token file"')

    (scratch / "new").write_text(second.token or "")
    (scratch / "new").replace(file)
    eventually(lambda: second.get("/v1/pools").status_code == 200)
    assert first.get("/v1/pools").status_code == 401

    file.write_text("nothing of ipamd's")
    ipamd_process.logged("a file cannot be used; the one before stays in use")
    assert second.get("/v1/pools").status_code == 200


def test_own_tokens_of_readers_and_of_nodes_that_join_are_good_for_that_alone(
    ipamd_process: IpamdProcess, scratch: Path
) -> None:
    reader, joining = (Caller(ipamd_process, "ipamd_" + letter * 43) for letter in "RJ")
    for name, caller in (("reader", reader), ("join", joining)):
        (scratch / name).write_text(f"{caller.token}\n")
    files = ("--reader-token-file", str(scratch / "reader"), "--join-token-file", str(scratch / "join"))
    started(ipamd_process, *files, "--join-token-cluster", "east")

    assert reader.get("/v1/pools").status_code == 200
    assert reader.post("/v1/pools", {"name": "p", "subnet": "10.9.0.0/24"}).status_code == 403
    assert joining.get("/v1/pools").status_code == 403
    joined = joining.post("/v1/nodes/join", {"node": "worker-1", "proof": "0" * 64})
    assert (joined.status_code, joined.json()["cluster"]) == (201, "east")


def test_one_token_in_the_files_of_two_roles_is_refused(scratch: Path) -> None:
    file = scratch / "secret"
    file.write_text("ipamd_" + "A" * 43)

    files = ("--admin-token-file", str(file), "--join-token-file", str(file))
    done = ipamd("serve", "--database-url", "memory://", *files)

    assert (done.returncode, "holds the same token as the admin token file" in done.stderr) == (2, True)


def test_with_tokens_every_address_is_served_and_none_is_ever_open(ipamd_process: IpamdProcess) -> None:
    admin = Caller(ipamd_process, Caller(ipamd_process, None).token_for("admin")[1])
    pools = f"http://127.0.0.1:{ipamd_process.port}/v1/pools"
    started(ipamd_process, "--host", "0.0.0.0")

    assert httpx.get(pools, headers={**admin.headers, "Host": "ipamd.example"}).status_code == 200
    assert httpx.get(pools).status_code == 401
    assert ipamd_process.logged("tokens arrive here unencrypted")

    [entry] = admin.get("/v1/tokens").json()["items"]
    assert admin.ask("DELETE", f"/v1/tokens/{entry['id']}").status_code == 204
    assert httpx.get(pools).status_code == ipamd_process.http.get("/v1/pools").status_code == 401
    assert httpx.post(pools.replace("pools", "cni/status"), json=call("c1")).status_code == 401


@pytest.mark.parametrize("content", [None, "ipamd_" + "A" * 43 + "\nipamd_" + "B" * 43])
def test_a_file_without_a_token_ends_the_start_with_a_sentence(scratch: Path, content: str | None) -> None:
    file = scratch / "secret"
    if content is not None:
        file.write_text(content)

    done = ipamd("serve", "--database-url", "memory://", environment={"IPAMD_ADMIN_TOKEN_FILE": str(file)})

    assert done.returncode == 2
    assert "--admin-token-file" in done.stderr
    assert "Traceback" not in done.stderr
