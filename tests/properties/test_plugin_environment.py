"""The variables' rules, as the specification words them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cni_plugin import environment
from cni_plugin.environment import is_name, trace_headers
from cni_plugin.failure import Failure

VERBS = {
    "ADD": {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"},
    "CHECK": {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"},
    "DEL": {"CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"},
    "GC": {"CNI_PATH"},
    "STATUS": {"CNI_PATH"},
    "VERSION": set[str](),
}
GOOD = {"CNI_CONTAINERID": "c1", "CNI_NETNS": "/n", "CNI_IFNAME": "eth0", "CNI_ARGS": "A=1", "CNI_PATH": "/p"}
NEAR_NAMES = st.text(st.sampled_from("aZ09_.-/: \n\u00fc\u0663\u2003"), max_size=17)


@given(st.sampled_from(sorted(VERBS)), st.sets(st.sampled_from(sorted(GOOD))), st.booleans())
def test_exactly_the_required_ones_may_not_be_missing(verb: str, missing: set[str], empty: bool) -> None:
    variables: dict[str, str] = {**GOOD, "CNI_COMMAND": verb} | dict.fromkeys(missing, "")
    if not empty:
        variables = {name: value for name, value in variables.items() if value}
    wanted = [name for name in GOOD if name in missing and name in VERBS[verb]]

    if not wanted:
        assert environment.read(variables.get) is not None
        return
    with pytest.raises(Failure) as refused:
        environment.read(variables.get)
    assert refused.value.code == 4
    assert refused.value.msg == f"required env variables [{','.join(wanted)}] missing"


@given(NEAR_NAMES | st.text(max_size=5))
def test_a_name_has_the_specifications_alphabet(text: str) -> None:
    assert is_name(text) == bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.\-]*", text, re.ASCII))


@given(NEAR_NAMES | st.text(max_size=16) | st.sampled_from([".", "..", "..."]))
def test_an_interface_name_is_one_that_the_kernel_takes(name: str) -> None:
    white_space = re.search(r"[^\S\x1c-\x1f]", name)  # Unicode's, to which Python adds four separators
    fits = 0 < len(name.encode()) <= 15 and name not in (".", "..") and not set(name) & set("/:")

    try:
        environment.read({**GOOD, "CNI_COMMAND": "ADD", "CNI_IFNAME": name}.get)
        accepted = True
    except Failure as failure:
        assert failure.code == 4
        assert "CNI_IFNAME" in failure.msg
        accepted = False

    assert accepted == (fits and white_space is None)


@given(st.text(max_size=20))
def test_a_tracing_header_is_one_line(value: str) -> None:
    for name, kept in trace_headers({"BAGGAGE": value}.get):
        assert (name, kept) == ("baggage", value)
        assert kept.isprintable() or not re.search(r"[\x00-\x1f\x7f-\x9f]", kept)
