"""A service that has tokens, and those who ask it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import loaded
from tests.service import EXECUTABLES, IpamdProcess


def first_token(url: str, *options: str) -> str:
    """Make a token in the database itself, as an operator does."""
    done = loaded.run(EXECUTABLES / "ipamd", "token", "create", "--database-url", url, *options)
    assert done.returncode == 0, done
    assert re.fullmatch(r"ipamd_[A-Za-z0-9_-]{43}\n", done.stdout), done.stdout
    return done.stdout.strip()


@dataclass(frozen=True)
class Caller:
    """Somebody with a token, or with none, who asks a service over its socket."""

    service: IpamdProcess
    token: str | None

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token is not None else {}

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.service.http.get(path, headers=self.headers, **more)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.service.http.post(path, json=body, headers=self.headers | headers)

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return self.service.http.request(method, path, json=body, headers=self.headers)

    def token_for(self, role: str, **fields: Any) -> tuple[int, str]:
        """Make a token; its id and its text."""
        made = self.post("/v1/tokens", {"role": role, **fields})
        assert made.status_code == 201, made.text
        return made.json()["id"], made.json()["token"]


NewCaller = Callable[..., Caller]


@pytest.fixture(scope="module")
def guarded(lasting_ipamd: IpamdProcess) -> IpamdProcess:
    """The service of a module, with one admin token; its client shows no token."""
    token = Caller(lasting_ipamd, None).token_for("admin", name="ann")[1]
    (lasting_ipamd.folder / "token").write_text(token)
    return lasting_ipamd


@pytest.fixture
def admin(guarded: IpamdProcess) -> Caller:
    return Caller(guarded, (guarded.folder / "token").read_text())


@pytest.fixture
def nobody(guarded: IpamdProcess) -> Caller:
    return Caller(guarded, None)


@pytest.fixture
def new_caller(admin: Caller) -> NewCaller:
    """Makes somebody with a new token."""

    def make(role: str, **fields: Any) -> Caller:
        return Caller(admin.service, admin.token_for(role, **fields)[1])

    return make


@pytest.fixture
def reader(new_caller: NewCaller) -> Caller:
    return new_caller("reader")


@pytest.fixture
def node(new_caller: NewCaller) -> Caller:
    """Node `n1` of cluster `default`."""
    return new_caller("node", cluster="default", node="n1")


@pytest.fixture
def joiner(new_caller: NewCaller) -> Caller:
    """Somebody with a join token of cluster `default`."""
    return new_caller("join", cluster="default")


@pytest.fixture
def pool(admin: Caller) -> Iterator[str]:
    """A pool of which nothing is held; what a test took of it is released afterwards."""
    made = admin.post("/v1/pools", {"name": "pods", "subnet": "10.0.0.0/24", "cooldown": 0})
    assert made.status_code == 201, made.text
    yield "pods"
    for held in admin.get("/v1/allocations").json()["items"]:
        admin.ask("DELETE", f"/v1/allocations/{held['id']}")
    assert admin.ask("DELETE", "/v1/pools/pods").status_code == 204


def held(admin: Caller) -> list[str]:
    """The addresses that are held now."""
    return [item["address"] for item in admin.get("/v1/allocations").json()["items"]]


def token_file(folder: Path, token: str, name: str = "a-token") -> Path:
    """A file that the plugin sends."""
    path = folder / name
    path.write_text(f"{token}\n")
    path.chmod(0o600)
    return path
