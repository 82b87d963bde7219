"""Schemathesis asks whatever the OpenAPI document allows, and more: no 500, every answer as documented."""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as some
from schemathesis import APIOperation, Case, CheckFunction, GenerationMode
from schemathesis.checks import ignored_auth, negative_data_rejection, positive_data_acceptance
from schemathesis.core.result import Ok

from ipamd.api.schemas.pod_network import LONGEST_WAIT
from tests.api.access.conftest import Caller
from tests.faults.fuzz.conftest import service_on
from tests.postgres import Postgres
from tests.service import IpamdProcess

NOT_OURS = [
    positive_data_acceptance,  # a schema cannot say that a subnet is free, or a gateway inside it
    ignored_auth,  # who may ask is told beside the document: see tests/api/access
]

numbers = some.integers(0, 255)
v4 = some.builds("10.{}.{}.{}".format, some.integers(0, 3), numbers, numbers)
v6 = some.builds("fd00::{:x}:{:x}".format, some.integers(0, 3), some.integers(0, 0xFFFF))
addresses = v4 | v6
prefixes = some.builds(
    lambda network: str(ip_network(network, strict=False)),
    some.tuples(v4, some.integers(8, 32)) | some.tuples(v6, some.integers(64, 128)),
)
schemathesis.openapi.format("ip-address", addresses)
schemathesis.openapi.format("ip-prefix", prefixes)
schemathesis.openapi.format("ip-range", addresses | prefixes | some.builds("{}-{}".format, v4, v4))


class Asked:
    """A service, who asks it, and what there always is in it."""

    def __init__(self, service: IpamdProcess, headers: dict[str, str]) -> None:
        self.service = service
        self.headers = headers
        self.admin: dict[str, str] = headers

    def known(self) -> dict[str, Any]:
        """Path parameters of which something is found, made again where it was deleted."""
        ask = self.service.http
        pool = {"name": "known", "subnet": "10.9.0.0/24", "space": "known", "cooldown": 0}
        ask.post("/v1/pools", json=pool, headers=self.admin)
        owned = {"owner": "somebody", "pool": "known"}
        made = ask.post("/v1/allocations", json=owned, headers={**self.admin, "Idempotency-Key": "known"})
        ask.put("/v1/nodes/default/known", json={"labels": {}}, headers=self.admin)
        owner = {"name": "known", "namespace": "known", "pool": "known"}
        ask.post("/v1/owners", json=owner, headers=self.admin)
        number = made.json()["id"] if made.is_success else 1
        names = {"name": "known", "namespace": "known", "cluster": "default"}
        return {**names, "number": number, "kind": "pools"}


BOUND = {"node": {"cluster": "default", "node": "known"}, "join": {"cluster": "default"}}


@pytest.fixture(
    params=[
        ("sqlite", "without tokens"),
        ("postgresql", "admin"),
        ("sqlite", "admin"),
        ("postgresql", "reader"),
        ("sqlite", "node"),
        ("sqlite", "join"),
        ("sqlite", "nobody"),
    ],
    ids=" ".join,
)
def asked(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[Asked]:
    """A service without tokens; then one that has some, asked by each role and by nobody."""
    kind, role = request.param
    with service_on(kind, postgres) as (service, _):
        asked = Asked(service, {})
        if role != "without tokens":
            admin = Caller(service, Caller(service, None).token_for("admin")[1])
            asked.admin = admin.headers
            if role != "nobody":
                asked.headers = Caller(service, admin.token_for(role, **BOUND.get(role, {}))[1]).headers
        yield asked


def ask_all(asked: Asked, operation: APIOperation[Any, Any, Any, Any]) -> None:
    """Ask for one operation in all ways: as the document has it, and as it has not."""
    tolerated = list(NOT_OURS)
    if operation.path == "/v1/explain":
        tolerated.append(negative_data_rejection)  # an ADD that cannot be meant is explained, not refused

    def check(case: Case[Any], *more: CheckFunction) -> None:
        wait = (case.query or {}).get("wait")
        if isinstance(wait, int) and 0 <= wait <= LONGEST_WAIT:  # a long poll in vain would take all of it
            case.query["wait"] = min(wait, 1)
        case.call_and_validate(
            asked.service.tcp_endpoint, headers=asked.headers, excluded_checks=[*tolerated, *more]
        )

    @given(case=some.one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode]))
    @settings(
        max_examples=6,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Case[Any]) -> None:
        check(case)
        if case.path_parameters:
            known = asked.known()
            case.path_parameters = {key: known[key] for key in case.path_parameters}
            check(case, negative_data_rejection)

    ask()


def without_security(document: dict[str, Any]) -> None:
    """Take away what would make a missing token a wrong request: who asks is this test's."""
    document.pop("security", None)
    for methods in document["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)


def test_every_answer_is_as_documented(asked: Asked) -> None:
    document = asked.service.http.get("/openapi.json", headers=asked.admin).json()
    without_security(document)

    for operation in schemathesis.openapi.from_dict(document).get_all_operations():
        assert isinstance(operation, Ok), operation
        ask_all(asked, operation.ok())
