"""Errors of the domain as CNI codes and HTTP statuses."""

import json
from ipaddress import ip_address

import pytest

from ipamd.cni.caller import Caller
from ipamd.cni.error import CniError, Code
from ipamd.models import errors
from ipamd.models.identity import Identity
from ipamd.models.quota import Tally

ADDRESS = ip_address("10.0.0.5")


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (errors.InvalidValue("ipam.pools", "is wrong"), 7, 422),
        (errors.PoolUnknown("a"), 7, 422),
        (errors.Unavailable("the database does not answer"), 11, 503),
        (errors.SchemaUnfit("older"), 11, 503),
        (errors.NothingFree(("a",)), 100, 409),
        (errors.AddressTaken("default", ADDRESS, "web/front", 7), 101, 409),
        (errors.AddressUnavailable(ADDRESS, "it is the gateway"), 102, 409),
        (errors.NotHeld("container c1 holds no address"), 102, 409),
        (errors.RequestTooLarge("too many pools"), 103, 413),
        (errors.Overtaken(), 104, 409),
        (errors.NotAllowed("pool a is for node n2"), 105, 403),
        (errors.QuotaExceeded(Tally("team-a", 4, "", "team-a"), 5, 5), 106, 409),
        (errors.PoolExists("not an error of CNI"), 999, 500),
    ],
)
def test_an_error_of_the_domain_has_one_code_and_its_own_sentence(
    error: errors.DomainError, code: int, status: int
) -> None:
    answer = CniError.from_domain(error).to(
        Caller("1.0.0", Identity("default", "pods", "n1", "c1", "eth0"), 0)
    )

    assert (answer.code, answer.status) == (code, status)
    assert json.loads(answer.encode()) == {"cniVersion": "1.0.0", "code": code, "msg": str(error)}


@pytest.mark.parametrize("code", list(Code))
def test_only_what_may_succeed_later_is_503(code: Code) -> None:
    again = code in (Code.TRY_AGAIN_LATER, Code.NOT_AVAILABLE)

    assert (CniError(code, "why").status == 503) is again


def test_details_are_there_only_where_something_is_said() -> None:
    assert "details" not in json.loads(CniError(Code.CANNOT_DECODE, "why").encode())
    assert json.loads(CniError(Code.CANNOT_DECODE, "why", "more").encode())["details"] == "more"


def test_an_error_before_the_version_is_known_speaks_the_newest() -> None:
    assert json.loads(CniError(Code.CANNOT_DECODE, "why").encode())["cniVersion"] == "1.1.0"
