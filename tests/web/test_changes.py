"""What is made, changed and removed on the page, with the refusals of REST."""

import re
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest

from tests.api.plugin_call import call
from tests.service import IpamdProcess
from tests.web.conftest import Browser


def hidden(text: str, name: str) -> str:
    found = re.search(rf'name="{re.escape(name)}" value="([^"]*)"', text)
    assert found is not None, name
    return unescape(found.group(1))


def edit_form(page: Browser, path: str) -> dict[str, str]:
    """The fields of a form as a browser would send them back untouched."""
    text = page.get(path).text
    areas = dict(re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>\n(.*?)</textarea>', text, re.DOTALL))
    inputs = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', text))
    chosen = {
        name: re.search(r'value="([^"]*)" selected', options).group(1)  # type: ignore[union-attr]  # one is
        for name, options in re.findall(
            r'<select id="[^"]*" name="([^"]+)"[^>]*>(.*?)</select>', text, re.DOTALL
        )
    }
    return {name: unescape(text) for name, text in {**areas, **inputs, **chosen}.items()}


def pool(filled: IpamdProcess, name: str) -> dict[str, Any]:
    found: dict[str, Any] = filled.http.get(f"/v1/pools/{name}").json()
    return found


def test_a_pool_is_made_changed_and_deleted(page: Browser, filled: IpamdProcess) -> None:
    made = page.send(
        "/ui/new/pool", {"name": "made", "subnet": "10.9.0.0/24", "routes": "0.0.0.0/0 10.9.0.1 mtu=1400"}
    )
    assert (made.status_code, made.headers["location"]) == (303, "/ui/pools/made")
    assert pool(filled, "made")["routes"] == [{"dst": "0.0.0.0/0", "gw": "10.9.0.1", "mtu": 1400}]

    form = edit_form(page, "/ui/edit/pool/made")
    changed = page.send("/ui/edit/pool/made", {**form, "cooldown": "5", "selectors.nodes": "n1\r\nn2\r\n"})
    assert changed.status_code == 303, changed.text
    assert pool(filled, "made")["cooldown"] == 5
    assert pool(filled, "made")["selectors"]["nodes"] == ["n1", "n2"]
    assert pool(filled, "made")["routes"][0]["mtu"] == 1400

    asked = page.get("/ui/delete/pool/made").text
    assert "256 addresses" in asked
    assert page.send("/ui/delete/pool/made", {"tag": hidden(asked, "tag")}).status_code == 303
    assert filled.http.get("/v1/pools/made").status_code == 404


def test_a_wrong_field_is_named_beside_it_and_what_was_written_stays(
    page: Browser, filled: IpamdProcess
) -> None:
    answer = page.send("/ui/new/pool", {"name": "bent", "subnet": "10.9.0.1/24", "priority": "high"})

    assert answer.status_code == 422
    assert 'id="f-subnet-why"' in answer.text
    assert 'value="10.9.0.1/24"' in answer.text
    assert "host bits" in answer.text
    assert 'id="f-priority-why"' in answer.text
    assert filled.http.get("/v1/pools/bent").status_code == 404


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("name", "Not A Name"),
        ("subnet", "10.9.0.1/24"),
        ("space", "a b"),
        ("ranges", "10.9.9.9"),
        ("exclusions", "10.9.0.9-10.9.0.1"),
        ("gateway", "10.200.0.1"),
        ("gateway_on_link", "perhaps"),
        ("routes", "everywhere"),
        ("dns.nameservers", "resolver"),
        ("block_size", "8"),
        ("prefix_length", "8"),
        ("affinity", "both"),
        ("cooldown", "-1"),
        ("state", "asleep"),
        ("priority", "high"),
        ("auto_assign", "perhaps"),
        ("masquerade", "perhaps"),
        ("borrow", "perhaps"),
        ("lease", "-1"),
        ("sticky", "perhaps"),
        ("selectors.node_labels", "=x"),
        ("selectors.namespaces", "a\tb"),
    ],
)
def test_each_field_of_a_pool_has_its_error_beside_it(page: Browser, field: str, text: str) -> None:
    answer = page.send("/ui/new/pool", {"name": "wrong", "subnet": "10.9.0.0/24", field: text})

    assert answer.status_code == 422
    assert re.findall(r'id="f-([^"]+)-why"', answer.text) == [field]
    assert "should match pattern" not in answer.text


def test_each_field_of_a_pool_has_a_field_in_its_form_and_a_rule(page: Browser, filled: IpamdProcess) -> None:
    selectors = {"clusters": ["c1"], "networks": ["n1"], "nodes": ["w1"], "namespaces": ["web"]}
    full: dict[str, Any] = {
        "selectors": {**selectors, "node_labels": {"zone": "b"}},
        "ranges": ["10.93.0.64/26"],
    }
    full |= {"exclusions": ["10.93.0.65"], "routes": [{"dst": "0.0.0.0/0"}]}
    full |= {
        "dns": {"nameservers": ["10.93.0.2"], "domain": "d.test", "search": ["s.test"], "options": ["o1"]}
    }
    filled.create_pool("full", "10.93.0.0/24", **full)
    document = pool(filled, "full")
    deep = ("dns", "selectors")
    names = {name for name in document if name not in deep}
    names |= {f"{above}.{name}" for above in deep for name in document[above]}

    assert names <= set(edit_form(page, "/ui/edit/pool/full"))
    rules = page.get("/ui/pools/full").text.split("<h2>Rules</h2>")[1]
    told = {name for name in names if name != "prefix_length"}  # it has none: it gives addresses
    assert len(re.findall('<th scope="row">', rules)) == len(told)


def test_a_pool_may_have_no_gateway_one_elsewhere_and_no_leases(page: Browser, filled: IpamdProcess) -> None:
    fields = {"gateway": "10.200.0.1", "gateway_on_link": "true", "borrow": "false", "lease": "0"}
    assert page.send("/ui/new/pool", {"name": "odd", "subnet": "10.91.0.0/24", **fields}).status_code == 303
    stated = pool(filled, "odd")
    assert [stated[name] for name in fields] == ["10.200.0.1", True, False, 0]

    form = edit_form(page, "/ui/edit/pool/odd")
    form |= {"gateway": "none", "gateway_on_link": "false", "lease": "7"}
    assert page.send("/ui/edit/pool/odd", form).status_code == 303
    stated = pool(filled, "odd")
    assert [stated[name] for name in fields] == [None, False, False, 7]
    assert edit_form(page, "/ui/edit/pool/odd")["gateway"] == "none"


def test_a_form_that_is_stored_untouched_changes_nothing_and_its_lines_stay_lines(
    page: Browser, filled: IpamdProcess
) -> None:
    lists = {"exclusions": ["10.92.0.9", "10.92.0.20-10.92.0.29"], "dns": {"search": ["a.test", "b.test"]}}
    filled.create_pool("lines", "10.92.0.0/24", **lists)
    labels = {"zone": "b", "rack": "r1"}
    assert filled.http.put("/v1/nodes/default/lines", json={"labels": labels}).is_success
    before = pool(filled, "lines")

    for path in ("/ui/edit/pool/lines", "/ui/edit/node/default/lines"):
        assert page.send(path, edit_form(page, path)).status_code == 303
    form = edit_form(page, "/ui/edit/pool/lines")
    assert pool(filled, "lines") == before
    assert filled.http.get("/v1/nodes/default/lines").json()["labels"] == labels

    more = form["exclusions"] + "\r\n10.92.0.40\r\n"
    assert page.send("/ui/edit/pool/lines", {**form, "exclusions": more}).status_code == 303
    assert pool(filled, "lines")["exclusions"] == [*lists["exclusions"], "10.92.0.40"]


def test_a_change_meanwhile_is_shown_side_by_side_and_nothing_of_it_is_lost(
    page: Browser, filled: IpamdProcess
) -> None:
    form = edit_form(page, "/ui/edit/pool/six")
    assert filled.http.patch("/v1/pools/six", json={"priority": 7}).is_success

    answer = page.send("/ui/edit/pool/six", {**form, "cooldown": "9"})

    assert answer.status_code == 412
    assert "Somebody changed it" in answer.text
    assert pool(filled, "six")["cooldown"] == 60
    again = {**form, "cooldown": "9", "priority": "7", "was:priority": "7"}
    again["tag"] = hidden(answer.text, "tag")
    assert page.send("/ui/edit/pool/six", again).status_code == 303
    assert (pool(filled, "six")["cooldown"], pool(filled, "six")["priority"]) == (9, 7)


def test_an_address_is_given_once_though_the_form_is_sent_twice_and_released_after_a_question(
    page: Browser, filled: IpamdProcess
) -> None:
    key = hidden(page.get("/ui/new/allocation").text, "key")
    first, second = (
        page.send("/ui/new/allocation", {"owner": "twice", "pool": "pods", "key": key}) for _ in "12"
    )
    assert first.headers["location"] == second.headers["location"]
    (held,) = filled.allocations(owner="twice")

    path = f"/ui/delete/allocation/{held['id']}"
    assert "1 address" in page.get(path).text
    assert filled.allocations(owner="twice")
    assert page.send(path, {}).status_code == 303
    assert not filled.allocations(owner="twice")


def test_a_prefix_is_given_and_shown_with_its_length_also_for_an_address_in_it(
    page: Browser, filled: IpamdProcess
) -> None:
    form = {"owner": "router", "pool": "wide", "address": "11.7.0.16", "prefix_length": "28"}

    assert page.send("/ui/new/allocation", form).status_code == 303

    assert ">11.7.0.16/28</a>" in page.get("/ui/allocations?owner=router").text
    assert "router" in page.get("/ui/addresses/11.7.0.21").text
    refused = page.send("/ui/new/allocation", {**form, "prefix_length": "33", "key": "another"})
    assert refused.status_code == 422
    (held,) = filled.allocations(owner="router")
    page.send(f"/ui/delete/allocation/{held['id']}", {})


def test_many_are_released_after_one_question_with_what_became_of_each(
    page: Browser, filled: IpamdProcess
) -> None:
    for number in range(2):
        page.send("/ui/new/allocation", {"owner": f"many-{number}", "pool": "wide"})
    chosen = [str(held["id"]) for number in range(2) for held in filled.allocations(owner=f"many-{number}")]
    form = [("id", chosen[0]), ("id", chosen[1]), ("id", "9999999")]

    assert "3 are chosen" in page.send_fields("/ui/bulk/release", form)
    assert filled.allocations(owner="many-0")
    done = page.send_fields("/ui/bulk/release", [*form, ("confirmed", "yes")])

    assert "2 of 3 released" in done
    assert "there is no allocation" in done
    assert not filled.allocations(owner="many-1")


def test_holders_keep_their_addresses_and_reservations_end_many_at_once(
    page: Browser, filled: IpamdProcess
) -> None:
    """What is ticked is named by its address, before and after; what has no name is refused by itself."""
    filled.create_pool("kept", "10.94.0.0/24")
    filled.create_pool("kept-six", "fd94::/64")
    pod = "K8S_POD_NAMESPACE=web;K8S_POD_NAME=ledger"
    for container, args in (("kept-1", pod), ("kept-2", "")):
        ipam = {"pools": ["kept", "kept-six"]}
        assert filled.http.post("/v1/cni/add", json=call(container, ipam=ipam, args=args)).is_success
    rows = filled.allocations(pool="kept") + filled.allocations(pool="kept-six")
    ticked = [("id", f"{row['id']} {row['address']}") for row in rows]

    asked = page.send_fields("/ui/bulk/keep", ticked)
    done = page.send_fields("/ui/bulk/keep", [*ticked, ("confirmed", "yes")])

    assert "10.94.0.2" in asked
    assert "2 of 4 reserved" in done
    assert "has no name that a later one could come back under" in done
    kept = filled.http.get("/v1/reservations", params={"namespace": "web", "name": "ledger"}).json()["items"]
    assert {each["address"] for each in kept} == {row["address"] for row in rows if row["name"] == "ledger"}
    ends = [("id", f"{each['id']} {each['address']}") for each in kept]
    assert "2 of 2 ended" in page.send_fields("/ui/bulk/end", [*ends, ("confirmed", "yes")])


def test_an_owner_is_made_before_its_first_pod_and_released(page: Browser, filled: IpamdProcess) -> None:
    form = {"name": "mail", "namespace": "post", "pool": "pods", "address": "10.64.0.210"}
    made = page.send("/ui/new/owner", form)
    wrong = page.send("/ui/new/owner", {**form, "pool": "gone"})
    view = "/ui/release/owner/default/post/mail"

    assert (made.status_code, made.headers["location"]) == (303, "/ui/owners")
    assert wrong.status_code == 422
    assert "10.64.0.210" in page.get("/ui/owners?namespace=post").text
    assert "1 in all: 10.64.0.210" in page.get(view).text
    assert page.send(view, {"why": "moved"}).status_code == 303
    assert filled.http.get("/v1/owners", params={"namespace": "post"}).json()["items"] == []
    assert page.get(view).status_code == 404


def test_what_containers_hold_for_an_owner_is_released_only_if_one_agrees(
    page: Browser, filled: IpamdProcess
) -> None:
    pod = "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=cart-0"
    config = {"args": {"cni": {"owner": "cart"}}}
    body = call("cart", ipam={"pools": ["six"]}, config=config, args=pod)
    assert filled.http.post("/v1/cni/add", json=body).is_success
    view = "/ui/release/owner/default/shop/cart"

    refused = page.send(view, {"why": "moved"})

    assert refused.status_code == 409
    assert filled.http.get("/v1/owners", params={"name": "cart"}).json()["items"] != []
    assert page.send(view, {"why": "moved", "consent": "yes"}).status_code == 303
    assert filled.http.get("/v1/owners", params={"name": "cart"}).json()["items"] == []


def test_a_node_is_made_before_it_calls_and_no_known_one_is_changed_by_that(
    page: Browser, filled: IpamdProcess
) -> None:
    form = {"name": "to-come", "labels": "zone=c"}
    made = page.send("/ui/new/node", form)
    again = page.send("/ui/new/node", {**form, "labels": "zone=d"})

    assert (made.status_code, made.headers["location"]) == (303, "/ui/nodes/default/to-come")
    assert again.status_code == 409
    assert "is a node already" in again.text
    assert filled.http.get("/v1/nodes/default/to-come").json()["labels"] == {"zone": "c"}
    assert page.send("/ui/new/node", {"labels": "zone=c"}).status_code == 422


def test_holds(page: Browser, filled: IpamdProcess) -> None:
    form = {
        "name": "rollout",
        "size": "5",
        "pool": "pods",
        "namespaces": "team-a\nteam-b-*",
        "workloads": "web-*",
        "seconds": "7200",
    }
    assert page.send("/ui/new/hold", {**form, "size": "100000"}).status_code == 422
    assert "cannot have all its 4096 addresses" in page.send("/ui/new/hold", {**form, "size": "4096"}).text
    assert page.send("/ui/new/hold", form).status_code == 303
    assert "team-a, team-b-*, pods web-*" in page.get("/ui/holds").text
    first = filled.http.get("/v1/allocations", params={"owner": "hold:rollout"}).json()["items"][0]["address"]
    assert "A hold keeps it, for a workload to come" in page.get(f"/ui/addresses/{first}").text
    was = {f"was:{name}": text for name, text in form.items()}
    changed = page.send("/ui/edit/hold/rollout", {**form, **was, "seconds": "14400", "workloads": ""})
    assert changed.status_code == 303, changed.text
    hold = filled.http.get("/v1/holds/rollout").json()
    assert (hold["seconds"], hold["workloads"], hold["left"]) == (14400, [], 5)
    assert "Free again: 5 addresses of pool pods" in page.get("/ui/delete/hold/rollout").text
    assert page.send("/ui/delete/hold/rollout", {}).status_code == 303
    assert filled.http.get("/v1/holds/rollout").status_code == 404


def test_quotas(page: Browser, filled: IpamdProcess) -> None:
    form = {
        "name": "team-a",
        "limit": "50",
        "namespaces": "team-a\nteam-b-*",
        "shared": "true",
        "pool": "pods",
    }
    assert page.send("/ui/new/quota", {**form, "namespaces": "a*b"}).status_code == 422
    assert page.send("/ui/new/quota", form).status_code == 303
    assert "team-a, team-b-*, together" in page.get("/ui/quotas").text
    was = {f"was:{name}": text for name, text in form.items()}
    changed = page.send("/ui/edit/quota/team-a", {**form, **was, "limit": "60", "pool": ""})
    assert changed.status_code == 303, changed.text
    quota = filled.http.get("/v1/quotas/team-a").json()
    assert (quota["limit"], quota["pool"], quota["shared"]) == (60, None, True)
    assert "The limit of 60 ends, of which 0 are used" in page.get("/ui/delete/quota/team-a").text
    assert page.send("/ui/delete/quota/team-a", {}).status_code == 303
    assert filled.http.get("/v1/quotas/team-a").status_code == 404


def test_reservations_and_labels(page: Browser, filled: IpamdProcess) -> None:
    assert page.send("/ui/new/reservation", {"address": "10.64.0.200", "owner": "kept"}).status_code == 303
    refused = page.send("/ui/new/reservation", {"address": "10.64.0.200", "owner": "other"})
    (kept,) = filled.http.get("/v1/reservations", params={"owner": "kept"}).json()["items"]
    assert refused.status_code == 409
    assert "kept" in refused.text
    assert page.send(f"/ui/delete/reservation/{kept['id']}", {}).status_code == 303

    form = {"labels": "zone=b\nrack=r1"}
    filled.http.put("/v1/nodes/default/n2", json={"labels": {}})
    assert page.send("/ui/edit/node/default/n2", form).status_code == 303
    assert filled.http.get("/v1/nodes/default/n2").json()["labels"] == {"zone": "b", "rack": "r1"}
    assert "2 labels" in page.get("/ui/delete/node/default/n2").text


NO_STEP_BACK = "\ufffe"
"""Before a name of dots in an address of the page, for browsers take `..` for a step back."""


@pytest.mark.parametrize("name", ["rack/1", "50%2f ?#", "ærø/é", ".", ".."])
def test_a_node_is_opened_and_drained_and_removed_whatever_its_name(
    page: Browser, filled: IpamdProcess, name: str
) -> None:
    tail = f"default/{quote(NO_STEP_BACK + name if name.strip('.') == '' else name, safe='')}"
    view, rest = f"/ui/nodes/{tail}", f"/v1/nodes/default/{quote(name, safe='').replace('.', '%2E')}"
    assert filled.http.post("/v1/cni/add", json=call(f"on-{len(name)}", node=name)).is_success
    assert filled.http.put(rest, json={"labels": {}}).is_success
    assert f'href="{view}"' in page.get("/ui/nodes").text
    assert f'action="{view}/drain"' in page.get(view).text
    with page.http.stream("GET", "/ui/live", params={"of": view}) as stream:
        assert "event: rows" in next(line for line in stream.iter_lines() if line.startswith("event: "))

    drained = page.send(f"{view}/drain", {})

    assert (drained.status_code, drained.headers["location"]) == (303, view)
    assert filled.http.get(rest).json()["draining"] is True
    assert f'action="{view}/undrain"' in page.get(view).text
    assert page.send(f"{view}/undrain", {}).status_code == 303
    assert filled.http.get(rest).json()["draining"] is False
    assert page.send(f"/ui/edit/node/{tail}", {"labels": "zone=a"}).headers["location"] == view
    asked = page.get(f"/ui/remove/node/{tail}").text
    assert re.search(r"Released: [12] address(es)? of its containers\.", asked)
    assert f'action="/ui/remove/node/{tail}"' in asked
    assert page.send(f"/ui/remove/node/{tail}", {"why": "burnt", "consent": "yes"}).status_code == 303
    assert filled.http.get(rest).status_code == 404


def test_a_node_is_drained_and_not_put_to_anything_else(page: Browser, filled: IpamdProcess) -> None:
    filled.http.put("/v1/nodes/default/put", json={"labels": {}})

    assert page.send("/ui/nodes/default/put/sleep", {}).status_code == 404


def test_a_node_that_is_gone_is_removed_with_what_it_holds(page: Browser, filled: IpamdProcess) -> None:
    filled.http.post("/v1/cni/add", json=call("gone-1", node="gone"))
    held = len(filled.allocations(node="gone"))
    assert held > 0
    assert f"Released: {held} address" in page.get("/ui/remove/node/default/gone").text

    refused = page.send("/ui/remove/node/default/gone", {"why": "burnt"})
    removed = page.send("/ui/remove/node/default/gone", {"why": "burnt", "consent": "yes"})

    assert refused.status_code == 409
    assert removed.status_code == 303
    assert filled.http.get("/v1/nodes/default/gone").status_code == 404
    assert not filled.allocations(node="gone")


def test_what_is_asked_for_is_made_when_an_admin_approves(page: Browser, filled: IpamdProcess) -> None:
    wanted = {"kind": "allocation", "owner": "asked", "pool": "pods", "why": "for a test"}
    assert page.send("/ui/requests/new", wanted).status_code == 303
    (request,) = (
        item for item in filled.http.get("/v1/requests").json()["items"] if item["wanted"]["owner"] == "asked"
    )
    assert not filled.allocations(owner="asked")

    assert page.send(f"/ui/requests/{request['id']}/approve", {"reason": "yes"}).status_code == 303

    assert filled.allocations(owner="asked")
    assert "approved" in page.get("/ui/requests").text


@pytest.mark.parametrize(
    ("came_from", "back"),
    [
        ("/ui/allocations?pool=pods", ["/ui/allocations?pool=pods"]),
        ("//elsewhere.example/", []),
        ("/docs", []),
    ],
)
def test_who_chose_nothing_is_led_back_to_a_view_of_the_page(
    page: Browser, filled: IpamdProcess, came_from: str, back: list[str]
) -> None:
    refused = page.send("/ui/bulk/release", {}, Referer=filled.tcp_endpoint + came_from)

    assert refused.status_code == 422
    assert "Nothing was chosen" in refused.text
    assert re.findall(r'<a href="([^"]+)">Back</a>', refused.text) == back


def test_what_is_wrong_with_a_request_is_said_beside_its_field(page: Browser) -> None:
    refused = page.send("/ui/requests/new", {"kind": "allocation", "pool": "pods"})

    assert refused.status_code == 422
    assert re.search(r'name="owner"[^>]*value=""[^>]*><span class="why" id="why-owner">', refused.text)
    assert 'name="pool" value="pods"' in refused.text


def test_a_form_says_what_a_new_pool_has_unless_something_is_chosen(
    page: Browser, filled: IpamdProcess
) -> None:
    form = page.get("/ui/new/pool").text
    made = pool(filled, "pods")

    said = dict(re.findall(r'<select id="f-(\w+)".*?>\n<option value="">the default: (\w+)</option>', form))
    assert said == {name: "yes" if made[name] else "no" for name in said}
    assert len(said) == 5
    for name in ("cooldown", "lease", "owner_keep", "priority"):
        assert re.search(rf'id="f-{name}-help">[^<]*\b{made[name]}, if left out', form)


def test_a_table_is_tried_then_applied_and_conflicts_are_listed(page: Browser, filled: IpamdProcess) -> None:
    table = "\ufeffname;subnet\r\ntabled;10.12.0.0/24\r\n"
    form = {"kind": "pools", "text": table}

    tried = page.send("/ui/tables", {**form, "do": "try"})
    assert "Dry run: nothing was changed" in tried.text
    assert filled.http.get("/v1/pools/tabled").status_code == 404
    assert "Done." in page.send("/ui/tables", {**form, "do": "apply"}).text
    assert pool(filled, "tabled")["subnet"] == "10.12.0.0/24"
    again = page.send(
        "/ui/tables", {"kind": "pools", "text": "name,subnet,cooldown\ntabled,10.12.0.0/24,7\n"}
    )
    assert re.search(r"pool tabled<.*Cooldown in seconds</dt><dd><del>60</del> <ins>7</ins>", again.text)
    assert "owner_keep" not in again.text

    refused = page.send(
        "/ui/tables", {"kind": "pools", "text": "name,subnet\nover,10.12.0.0/25\n", "do": "apply"}
    )
    assert refused.status_code == 409
    assert "tabled" in refused.text
    exported = page.get("/ui/tables/pools")
    assert exported.headers["content-type"].startswith("text/csv")
    assert "10.12.0.0/24" in exported.text


def test_a_table_of_allocations_is_tried_then_given(page: Browser, filled: IpamdProcess) -> None:
    table = "owner;address;container_id\n@tabled;10.64.0.100;\n;10.64.0.101;c1\n"
    form = {"kind": "allocations", "text": table}

    tried = page.send("/ui/tables", {**form, "do": "try"}).text
    assert "1 change, 0 unchanged" in tried
    assert "Left alone: 1 of containers" in tried
    assert "10.64.0.100 to @tabled" in tried
    assert not filled.allocations(owner="@tabled")
    assert "Done." in page.send("/ui/tables", {**form, "do": "apply"}).text
    assert filled.allocations(owner="@tabled")[0]["address"] == "10.64.0.100"
    assert "'@tabled" in page.get("/ui/tables/allocations").text
    refused = page.send(
        "/ui/tables", {"kind": "allocations", "text": "owner,address\nb,10.64.0.100\n", "do": "try"}
    )
    assert refused.status_code == 409
    assert "10.64.0.100 for b" in refused.text


@pytest.mark.parametrize(
    "path", ["/ui/new/weather", "/ui/delete/weather/1", "/ui/delete/pool/gone", "/ui/edit/pool/gone"]
)
def test_a_form_for_what_is_not_there_is_a_sentence(page: Browser, path: str) -> None:
    answer = page.get(path)

    assert answer.status_code == 404
    assert 'role="alert"' in answer.text
