"""What lives on a node by its own records, and is not known to ipamd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from node_agent.watching.living import Linked, Living, unknown
from tests.ctl.cached_results import cache, one
from tests.unit.test_dead_containers import row

OURS: dict[str, Any] = {"type": "ipamd-ipam"}
OWN = Path("/proc/self/ns/net")


@pytest.fixture
def netns() -> int:
    return OWN.stat().st_ino


def result(sandbox: str = str(OWN)) -> dict[str, Any]:
    return one("10.0.0.9/24") | {"interfaces": [{"name": "eth0", "sandbox": sandbox}]}


def test_a_result_whose_namespace_lives_is_a_container_that_lives(tmp_path: Path, netns: int) -> None:
    cache(tmp_path, "c1", result(), ipam=OURS, pod="front")

    device = OWN.stat().st_dev
    assert unknown([], [], {netns}, tmp_path) == [
        Living("pods", "c1", "eth0", ["10.0.0.9"], (device, netns), "web", "front")
    ]


def test_what_is_known_or_gone_or_anothers_is_not_named(tmp_path: Path, netns: int) -> None:
    cache(tmp_path, "c1", result(), ipam=OURS)
    cache(tmp_path, "gone", result("/run/netns/no-such"), ipam=OURS)
    cache(tmp_path, "host-locals", result())
    cache(tmp_path, "failed", None, ipam=OURS)
    (tmp_path / "torn").write_text("{")

    assert unknown([row(1, container_id="c1")], [], {netns}, tmp_path) == []
    assert unknown([], [], {netns + 1}, tmp_path) == []


def test_a_host_side_is_a_container_that_lives(tmp_path: Path, netns: int) -> None:
    linked = [Linked("pods/c1/eth0", ["10.0.0.9", "fd00::9"]), Linked(f"pods/{'c' * 80}/eth0", ["10.0.0.8"])]

    assert unknown([], linked, {netns}, tmp_path) == [
        Living("pods", "c1", "eth0", ["10.0.0.9", "fd00::9"]),
    ], "whose ID was cut off nobody knows"
    assert unknown([row(1, container_id="c1")], linked, {netns}, tmp_path) == []


def test_a_result_says_more_of_a_host_side(tmp_path: Path, netns: int) -> None:
    cache(tmp_path, "c1", result(), ipam=OURS, pod="front")

    [found] = unknown([], [Linked("pods/c1/eth0", ["10.0.0.9"])], set(), tmp_path)

    assert found.name == "front"


def keep(folder: Path, container: str, netns: int | None, prefixes: object) -> None:
    """A record as ipamd-ipam keeps it of a container with a prefix."""
    told = {"container_id": container, "ifname": "eth0", "netns_id": [4, netns] if netns else None}
    answer = one("10.0.0.9/24") | {"ipamd.io/prefixes": prefixes}
    (folder / f"a-pods-{container}-eth0").write_text(json.dumps({**told, "result": answer}))


def test_what_the_plugin_kept_tells_of_a_prefix_and_of_whoever_nothing_else_tells(
    tmp_path: Path, netns: int
) -> None:
    folder = tmp_path / "prefixes"
    folder.mkdir()
    for container, inode, prefixes in (
        ("linked", None, ["10.0.0.48/28"]),
        ("alone", netns, ["10.0.0.64/28"]),
        ("gone", netns + 1, ["10.0.0.80/28"]),
        ("known", netns, ["10.0.0.96/28"]),
        ("odd", netns, [{}]),
        ("none", netns, []),
    ):
        keep(folder, container, inode, prefixes)
    (folder / "torn").write_text("{")
    known = row(1, container_id="known", network="a-pods")
    linked = [Linked("a-pods/linked/eth0", ["10.0.0.8"])]

    found = unknown([known], linked, {netns}, tmp_path / "results", folder)

    assert found == [
        Living("a-pods", "linked", "eth0", ["10.0.0.8"], prefix="10.0.0.48/28"),
        Living("a-pods", "alone", "eth0", ["10.0.0.9"], (4, netns), prefix="10.0.0.64/28"),
    ]
