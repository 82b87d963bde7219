"""Who may look, what a browser keeps of it, and that no other site can send our forms."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.service import IpamdProcess, running_service
from tests.waiting import eventually
from tests.web.conftest import Browser, browser

ELSEWHERE = {"Sec-Fetch-Site": "cross-site"}


@pytest.fixture(scope="module")
def guarded() -> Iterator[IpamdProcess]:
    """A service with an admin's token, in a file of its folder."""
    with running_service() as service:
        made = service.http.post("/v1/tokens", json={"role": "admin", "name": "ann"}).json()
        service.http.headers["Authorization"] = f"Bearer {made['token']}"
        assert service.http.post("/v1/pools", json={"name": "pods", "subnet": "10.0.0.0/24"}).is_success
        yield service


def token(service: IpamdProcess, role: str, **more: str) -> tuple[int, str]:
    made = service.http.post("/v1/tokens", json={"role": role, **more}).json()
    return made["id"], made["token"]


@pytest.fixture
def stranger(guarded: IpamdProcess) -> Browser:
    return browser(guarded)


def signed_in(service: IpamdProcess, text: str) -> Browser:
    made = browser(service)
    answer = made.send("/ui/sign-in", {"token": text, "next": "/ui/pools/pods"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/pools/pods")
    return made


def test_without_a_token_every_view_leads_to_the_sign_in_and_back(stranger: Browser) -> None:
    answer = stranger.get("/ui/pools/pods/map?at=10.0.0.0/25")

    assert answer.status_code == 303
    assert answer.headers["location"] == "/ui/sign-in?next=%2Fui%2Fpools%2Fpods%2Fmap%3Fat%3D10.0.0.0%2F25"
    assert "pods" not in stranger.get("/").text
    assert stranger.get("/ui/live?of=/").status_code == 401


@pytest.mark.parametrize("text", ["", "secret", "ipamd_" + "a" * 43, "<b>"])
def test_a_wrong_token_is_refused_in_a_sentence_and_leaves_no_cookie(stranger: Browser, text: str) -> None:
    answer = stranger.send("/ui/sign-in", {"token": text})

    assert answer.status_code == 403
    assert 'role="alert"' in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("role", "of"), [("node", {"cluster": "default", "node": "n1"}), ("join", {"cluster": "default"})]
)
def test_a_token_of_a_machine_is_not_for_the_page(
    guarded: IpamdProcess, stranger: Browser, role: str, of: dict[str, str]
) -> None:
    answer = stranger.send("/ui/sign-in", {"token": token(guarded, role, **of)[1]})

    assert answer.status_code == 403
    assert "which is for machines" in answer.text


def test_the_cookie_is_kept_from_scripts_and_other_sites_and_over_tls_from_other_hosts(
    guarded: IpamdProcess, stranger: Browser
) -> None:
    text = token(guarded, "reader")[1]
    plain = stranger.send("/ui/sign-in", {"token": text}).headers["set-cookie"]
    origin = {"Origin": f"https://{stranger.http.base_url.netloc.decode()}"}
    encrypted = stranger.send("/ui/sign-in", {"token": text}, **origin).headers["set-cookie"]

    assert plain == f"ipamd={text}; HttpOnly; Path=/; SameSite=strict"
    assert encrypted == f"__Host-ipamd={text}; HttpOnly; Path=/; SameSite=strict; Secure"


@pytest.mark.parametrize(
    "leads", ["https://example.org/", "//example.org", "/\\example.org", "/v1/pools", "javascript:1"]
)
def test_signing_in_leads_to_no_other_site(guarded: IpamdProcess, stranger: Browser, leads: str) -> None:
    answer = stranger.send("/ui/sign-in", {"token": token(guarded, "reader")[1], "next": leads})

    assert answer.headers["location"] == "/"


def test_a_revoked_token_ends_the_visit_and_what_is_live_says_so(guarded: IpamdProcess) -> None:
    number, text = token(guarded, "reader")
    visitor = signed_in(guarded, text)
    with visitor.http.stream("GET", "/ui/live", params={"of": "/"}) as stream:
        lines = stream.iter_lines()
        assert any("pods" in line for line in iter(lambda: next(lines), "data"))
        assert guarded.http.delete(f"/v1/tokens/{number}").is_success
        assert "event: ended" in list(lines)

    assert visitor.get("/ui/pools/pods").headers["location"].startswith("/ui/sign-in")


def test_signing_out_makes_the_browser_forget(guarded: IpamdProcess) -> None:
    visitor = signed_in(guarded, token(guarded, "reader")[1])
    assert visitor.get("/ui/pools/pods").status_code == 200

    assert visitor.send("/ui/sign-out", {}).status_code == 303

    assert visitor.get("/ui/pools/pods").status_code == 303


def test_a_reader_sees_no_tokens_and_no_way_to_change(guarded: IpamdProcess) -> None:
    visitor = signed_in(guarded, token(guarded, "reader")[1])

    assert visitor.get("/ui/tokens").status_code == 403
    assert "/ui/edit/" not in visitor.get("/ui/pools/pods").text
    for form in ("/ui/new/pool", "/ui/edit/pool/pods", "/ui/delete/pool/pods", "/ui/release/node/default/n1"):
        answer = visitor.get(form)
        assert answer.status_code == 403
        assert "may only read" in answer.text
        assert 'class="sheet"' not in answer.text


@pytest.mark.parametrize(
    "headers", [ELSEWHERE, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}, {}]
)
def test_a_form_of_another_site_is_refused_whoever_is_signed_in(
    guarded: IpamdProcess, headers: dict[str, str]
) -> None:
    visitor = signed_in(guarded, token(guarded, "admin")[1])

    answer = visitor.http.post("/ui/sign-out", data={"x": "1"}, headers=headers)

    assert answer.status_code == 403
    assert "Not sent from here" in answer.text
    assert visitor.get("/ui/pools/pods").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/ui/new/pool",
        "/ui/new/reservation",
        "/ui/new/allocation",
        "/ui/new/token",
        "/ui/edit/pool/pods",
        "/ui/edit/node/default/n1",
        "/ui/delete/pool/pods",
        "/ui/delete/reservation/{reservation}",
        "/ui/delete/allocation/{allocation}",
        "/ui/delete/token/1",
        "/ui/delete/node/default/n1",
        "/ui/release/node/default/n1",
        "/ui/remove/node/default/n1",
        "/ui/bulk/drain",
        "/ui/requests/1/approve",
        "/ui/tables",
    ],
)
def test_a_reader_who_forges_an_admins_form_changes_nothing(guarded: IpamdProcess, path: str) -> None:
    visitor = signed_in(guarded, token(guarded, "reader")[1])
    form = {
        "name": "forged",
        "subnet": "10.8.0.0/24",
        "address": "10.0.0.9",
        "owner": "forged",
        "role": "admin",
    }
    form |= {"labels": "a=b", "cooldown": "7", "was:cooldown": "60", "why": "because", "kind": "pools"}
    form |= {"id": "pods", "confirmed": "yes", "text": "name,subnet\nforged,10.8.0.0/24\n", "do": "apply"}

    def state() -> list[object]:
        paths = ("/v1/pools", "/v1/reservations", "/v1/allocations", "/v1/nodes")
        return [guarded.http.get(path).json()["items"] for path in paths]

    guarded.http.put("/v1/nodes/default/n1", json={"labels": {"rack": "r1"}})
    made = {"owner": "kept", "address": "10.0.0.200"}
    guarded.http.post("/v1/reservations", json=made)
    guarded.http.post("/v1/allocations", json=made)
    kept, held = (
        guarded.http.get(f"/v1/{noun}", params={"owner": "kept"}).json()["items"][0]["id"]
        for noun in ("reservations", "allocations")
    )
    before = state()
    answer = visitor.send(path.format(reservation=kept, allocation=held), form)

    assert answer.status_code == 403 or "0 of 1 draining" in answer.text
    assert state() == before


def test_nobody_signs_another_in_by_a_cookie_or_a_link(guarded: IpamdProcess, stranger: Browser) -> None:
    """Whoever signs in has the token that they gave, whatever the browser had before (login fixation)."""
    planted = token(guarded, "reader", name="mallory")[1]
    own = token(guarded, "reader", name="victim")[1]
    stranger.http.cookies.set("ipamd", planted, domain="127.0.0.1", path="/")

    stranger.send("/ui/sign-in", {"token": own})

    assert "victim (token" in stranger.get("/").text
    over_tls = {"Cookie": f"ipamd={planted}; __Host-ipamd={own}"}
    fresh = browser(guarded)
    assert "victim (token" in fresh.get("/", **over_tls).text
    linked = fresh.get(f"/ui/sign-in?token={planted}")
    assert "set-cookie" not in linked.headers
    assert planted not in linked.text


def test_an_expired_token_is_refused_in_a_sentence(guarded: IpamdProcess, stranger: Browser) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    text = token(guarded, "reader", expires=soon)[1]

    def refused() -> bool:
        return "expired" in stranger.send("/ui/sign-in", {"token": text}).text

    eventually(refused)


def test_a_link_from_another_site_finds_who_is_signed_in(stranger: Browser) -> None:
    """The browser keeps back the cookie of such a request; the page leads to itself."""
    answer = stranger.get("/ui/pools/pods", **ELSEWHERE, **{"Sec-Fetch-Dest": "document"})

    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0;url=/ui/pools/pods"' in answer.text


def test_the_cookie_opens_nothing_but_the_page(guarded: IpamdProcess) -> None:
    visitor = signed_in(guarded, token(guarded, "admin")[1])

    assert visitor.get("/v1/pools").status_code == 401


def test_every_answer_forbids_frames_foreign_scripts_and_keeping(
    guarded: IpamdProcess, stranger: Browser
) -> None:
    visitor = signed_in(guarded, token(guarded, "reader")[1])
    answers = [visitor.get("/"), visitor.get("/ui/nothing"), stranger.get("/"), stranger.get("/ui/nodes")]

    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert {
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
        } <= set(policy.split("; "))
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_without_tokens_only_this_machines_own_names_are_answered(ipamd_process: IpamdProcess) -> None:
    answer = httpx.get(f"{ipamd_process.tcp_endpoint}/", headers={"Host": "rebound.example"})

    assert answer.status_code == 403
