"""How a node comes by its token: with a join token and a proof that is its own from then on."""

import re
from hashlib import sha256
from typing import Any

import httpx
import pytest

from tests.api.access.conftest import Caller, NewCaller
from tests.api.plugin_call import call

PROOF, OTHER = (sha256(secret).hexdigest() for secret in (b"one", b"two"))


def join(asker: Caller, node: str, proof: str = PROOF) -> httpx.Response:
    return asker.post("/v1/nodes/join", {"node": node, "proof": proof})


def joined(asker: Caller, node: str, proof: str = PROOF) -> Caller:
    """The node, with the token that it got."""
    answer = join(asker, node, proof)
    assert answer.status_code == 201, answer.text
    return Caller(asker.service, answer.json()["token"])


def works(node: Caller, name: str, cluster: str = "default") -> bool:
    answer = node.post("/v1/cni/status", call("c1", node=name, cluster=cluster))
    assert answer.status_code in (204, 401, 403), answer.text
    return answer.status_code == 204


def tokens_of(admin: Caller, node: str) -> list[dict[str, Any]]:
    return [item for item in admin.get("/v1/tokens").json()["items"] if item["node"] == node]


def test_a_node_that_joins_gets_a_token_for_itself_alone(admin: Caller, joiner: Caller) -> None:
    node = joined(joiner, "j1")

    assert works(node, "j1")
    assert not works(node, "j2")
    assert re.fullmatch(r"ipamd_[A-Za-z0-9_-]{43}", node.token or "")
    [entry] = tokens_of(admin, "j1")
    assert (entry["role"], entry["cluster"], entry["last_used"] is None) == ("node", "default", False)
    assert re.fullmatch(r"token \d+", entry["created_by"])
    assert entry["expires"] is not None
    assert admin.get("/v1/nodes/default/j1").json()["joined"] is True


def test_the_same_proof_again_replaces_the_nodes_token(admin: Caller, joiner: Caller) -> None:
    first = joined(joiner, "again")
    second = joined(joiner, "again")

    assert first.token != second.token
    assert works(second, "again")
    assert len(tokens_of(admin, "again")) == 1


def test_a_third_token_ends_the_first_at_once(joiner: Caller) -> None:
    first, second, third = (joined(joiner, "thrice") for _ in range(3))

    # The one before is good for a while yet: calls of the node are under way with it.
    assert [works(node, "thrice") for node in (first, second, third)] == [False, True, True]


def test_another_proof_is_refused_until_the_node_is_forgotten(admin: Caller, joiner: Caller) -> None:
    node = joined(joiner, "mine")

    refused = join(joiner, "mine", OTHER)
    still = works(node, "mine")
    forgotten = admin.ask("DELETE", "/v1/nodes/default/mine")

    assert (refused.status_code, refused.json()["code"]) == (409, "node-joined")
    assert "ipamctl node forget mine --cluster default" in refused.json()["detail"]
    assert still
    assert forgotten.status_code == 204
    assert not works(node, "mine")
    other = joined(joiner, "mine", OTHER)
    assert works(other, "mine")
    assert join(joiner, "mine", PROOF).status_code == 409


def test_a_node_with_a_revoked_token_stays_out_until_it_is_forgotten(admin: Caller, joiner: Caller) -> None:
    node = joined(joiner, "revoked")
    [entry] = tokens_of(admin, "revoked")

    admin.ask("DELETE", f"/v1/tokens/{entry['id']}")

    assert not works(node, "revoked")
    refused = [join(joiner, "revoked", proof) for proof in (PROOF, OTHER)]
    assert [(each.status_code, each.json()["code"]) for each in refused] == [(409, "node-shut-out")] * 2
    assert "ipamctl node forget revoked --cluster default" in refused[0].json()["detail"]
    assert not admin.get("/v1/nodes/default/revoked").json()["joined"]
    assert admin.ask("DELETE", "/v1/nodes/default/revoked").status_code == 204
    assert works(joined(joiner, "revoked"), "revoked")


def test_a_node_that_has_another_token_is_not_shut_out(admin: Caller, joiner: Caller) -> None:
    joined(joiner, "two")
    admin.token_for("node", cluster="default", node="two")
    second = max(entry["id"] for entry in tokens_of(admin, "two"))

    admin.ask("DELETE", f"/v1/tokens/{second}")

    assert works(joined(joiner, "two"), "two")


def test_a_token_that_an_admin_makes_lets_a_node_in_again(admin: Caller, joiner: Caller) -> None:
    joined(joiner, "again")
    [entry] = tokens_of(admin, "again")
    admin.ask("DELETE", f"/v1/tokens/{entry['id']}")

    node = Caller(admin.service, admin.token_for("node", cluster="default", node="again")[1])

    assert works(node, "again")
    assert join(node, "again").status_code == 201


def test_labels_do_not_let_another_join(admin: Caller, joiner: Caller) -> None:
    admin.ask("PUT", "/v1/nodes/default/labelled", {"labels": {"zone": "a"}})
    joined(joiner, "labelled")

    admin.ask("PUT", "/v1/nodes/default/labelled", {"labels": {"zone": "b"}})

    assert join(joiner, "labelled", OTHER).status_code == 409
    assert admin.get("/v1/nodes/default/labelled").json()["labels"] == {"zone": "b"}


def test_nobody_joins_as_a_node_that_an_admin_gave_a_token(admin: Caller, joiner: Caller) -> None:
    admin.token_for("node", cluster="default", node="given")

    refused = join(joiner, "given")

    assert (refused.status_code, refused.json()["code"]) == (409, "node-joined")
    assert admin.ask("DELETE", "/v1/nodes/default/given").status_code == 204
    assert join(joiner, "given").status_code == 201


def test_a_join_token_lets_in_nodes_of_its_own_cluster(joiner: Caller, new_caller: NewCaller) -> None:
    west = new_caller("join", cluster="west")

    ours, theirs = joined(joiner, "same"), joined(west, "same", OTHER)

    assert works(ours, "same")
    assert works(theirs, "same", "west")
    assert not works(ours, "same", "west")
    assert not works(theirs, "same")


def test_a_node_renews_its_own_token_and_calls_under_way_are_not_refused(
    admin: Caller, joiner: Caller
) -> None:
    before = joined(joiner, "renewing")
    [entry] = tokens_of(admin, "renewing")

    after = joined(before, "renewing")

    assert works(before, "renewing")
    assert works(after, "renewing")
    [renewed] = tokens_of(admin, "renewing")
    assert renewed["id"] == entry["id"]
    assert renewed["expires"] > entry["expires"]


def test_a_node_that_never_got_the_answer_renews_once_more(joiner: Caller) -> None:
    node = joined(joiner, "unlucky")
    lost = joined(node, "unlucky")

    later = joined(node, "unlucky")

    assert works(later, "unlucky")
    assert works(node, "unlucky")
    assert not works(lost, "unlucky")


def test_a_node_that_an_admin_gave_a_token_renews_it_and_is_known_by_its_proof_then(
    admin: Caller, joiner: Caller
) -> None:
    node = Caller(admin.service, admin.token_for("node", cluster="default", node="promoted")[1])

    renewed = joined(node, "promoted")

    assert works(renewed, "promoted")
    assert join(renewed, "promoted", OTHER).status_code == 409
    assert works(joined(joiner, "promoted"), "promoted")


@pytest.mark.parametrize("name", ["n2", "n1 ", "west/n1"])
def test_a_node_renews_for_no_other_node(admin: Caller, node: Caller, name: str) -> None:
    refused = join(node, name)

    assert (refused.status_code, refused.json()["code"]) == (403, "not-allowed")
    assert tokens_of(admin, name) == []


def test_a_revoked_node_renews_nothing(admin: Caller, joiner: Caller) -> None:
    node = joined(joiner, "gone")
    [entry] = tokens_of(admin, "gone")
    admin.ask("DELETE", f"/v1/tokens/{entry['id']}")

    assert join(node, "gone").status_code == 401
    assert tokens_of(admin, "gone") == []


def test_readers_admins_and_strangers_do_not_join(admin: Caller, reader: Caller, nobody: Caller) -> None:
    assert [join(asker, "n7").status_code for asker in (admin, reader, nobody)] == [403, 403, 401]
    assert tokens_of(admin, "n7") == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"node": "n8"},
        {"node": "n8", "proof": ""},
        {"node": "n8", "proof": PROOF.upper()},
        {"node": "n8", "proof": PROOF[:-1]},
        {"node": "n8", "proof": PROOF + "\n"},
        {"node": "", "proof": PROOF},
        {"node": "n8", "proof": PROOF, "cluster": "west"},
    ],
)
def test_what_is_no_joining_is_refused(admin: Caller, joiner: Caller, body: dict[str, Any]) -> None:
    assert joiner.post("/v1/nodes/join", body).status_code == 422
    assert tokens_of(admin, "n8") == []


def test_a_node_that_spells_its_name_otherwise_is_the_same_node(admin: Caller, joiner: Caller) -> None:
    node = joined(joiner, "Cased-1")

    assert works(node, "cased-1")
    assert works(node, "CASED-1")
    assert works(joined(node, "CASED-1"), "cased-1")
    assert join(joiner, "cased-1", OTHER).status_code == 409
