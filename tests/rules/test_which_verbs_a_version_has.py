"""Which verb each version of the CNI specification has, and what a configuration without a version means."""

import pytest

from cni_plugin import versions
from cni_plugin.failure import INCOMPATIBLE_VERSION, INVALID_CONFIGURATION, Failure

ALWAYS = ["ADD", "DEL"]
VERBS = [*ALWAYS, "CHECK", "GC", "STATUS"]


@pytest.mark.parametrize(
    ("version", "verbs"),
    [
        ("0.1.0", ALWAYS),
        ("0.2.0", ALWAYS),
        ("0.3.0", ALWAYS),
        ("0.3.1", ALWAYS),
        ("0.4.0", [*ALWAYS, "CHECK"]),
        ("1.0.0", [*ALWAYS, "CHECK"]),
        ("1.1.0", VERBS),
        ("1.2.0", ["DEL"]),  # whatever the version, a container can end
    ],
)
def test_a_version_has_these_verbs_and_no_others(version: str, verbs: list[str]) -> None:
    allowed = [verb for verb in VERBS if refusal({"cniVersion": version}, verb) is None]

    assert allowed == verbs


@pytest.mark.parametrize(
    ("configuration", "meant"),
    [
        ({}, "0.1.0"),
        ({"cniVersion": ""}, "0.1.0"),
        ({"cniVersion": None}, "0.1.0"),
        ({"cniVersion": "1.0.0"}, "1.0.0"),
        ({"cniVersion": "1.2.0"}, "1.2.0"),
    ],
)
def test_a_configuration_means_this_version(configuration: dict[str, object], meant: str) -> None:
    assert versions.version(configuration) == meant


@pytest.mark.parametrize(
    ("configuration", "code"),
    [
        ({"cniVersion": "1.2.0"}, INCOMPATIBLE_VERSION),
        ({"cniVersion": " "}, INCOMPATIBLE_VERSION),
        ({"cniVersion": 1}, INVALID_CONFIGURATION),
        ({"cniVersion": ["1.0.0"]}, INVALID_CONFIGURATION),
    ],
)
def test_a_version_that_we_do_not_speak_is_refused_with_this_code(
    configuration: dict[str, object], code: int
) -> None:
    assert refusal(configuration, "ADD") == code


@pytest.mark.parametrize(("given", "spoken"), [("0.3.1", "0.3.1"), ("", "0.1.0"), ("9.0.0", "1.1.0")])
def test_errors_are_told_in_this_version(given: str, spoken: str) -> None:
    assert versions.speaking({"cniVersion": given}) == spoken


def refusal(configuration: dict[str, object], verb: str) -> int | None:
    """Give the code with which a verb is refused, None if it is allowed."""
    try:
        versions.check(configuration, verb)
    except Failure as failure:
        return failure.code
    return None
