"""The change log names who did it, and holds no secret."""

from tests.api.access.conftest import Caller, NewCaller


def test_the_log_names_the_token_that_changed_something(
    admin: Caller, reader: Caller, new_caller: NewCaller
) -> None:
    ben = new_caller("admin", name="ben")
    ben.post("/v1/pools", {"name": "bens", "subnet": "192.0.2.0/25"})
    admin.ask("PATCH", "/v1/pools/bens", {"cooldown": 3})
    admin.ask("DELETE", "/v1/pools/bens")

    entries = reader.get("/v1/log?name=bens").json()["items"]

    assert [each["by"].partition(" ")[0] for each in entries] == ["ann", "ann", "ben"]
    assert all(" (token " in each["by"] for each in entries)
    assert [each["name"] for each in reader.get("/v1/log?by=ben").json()["items"]] == ["bens"]


def test_tokens_are_in_the_log_without_their_secrets_and_for_admins_only(
    admin: Caller, reader: Caller
) -> None:
    number, secret = admin.token_for("reader", name="eve", expires="2030-01-01T00:00:00Z")
    admin.ask("DELETE", f"/v1/tokens/{number}")

    answer = admin.get(f"/v1/log?kind=token&name={number}")

    revoked, made = answer.json()["items"]
    assert (made["action"], revoked["action"]) == ("create", "delete")
    assert revoked["before"] == made["after"]
    assert made["after"].keys() == {
        *("id", "role", "name", "cluster", "node", "created", "created_by", "expires")
    }
    assert secret not in answer.text
    assert reader.get("/v1/log?kind=token").json()["items"] == []
    assert all(each["kind"] != "token" for each in reader.get("/v1/log").json()["items"])


def test_who_may_read_the_log(reader: Caller, node: Caller, joiner: Caller, nobody: Caller) -> None:
    answers = [who.get("/v1/log").status_code for who in (reader, node, joiner, nobody)]

    assert answers == [200, 403, 403, 401]
