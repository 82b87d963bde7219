"""What lives on a node by its own records, and is not known to ipamd."""

from __future__ import annotations

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
