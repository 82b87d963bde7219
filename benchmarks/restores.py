"""What an ADD waits for while somebody else rewrites the packet filter of its node."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks import spawn
from benchmarks.contenders import Contender
from benchmarks.filled import check_held, running_filled
from benchmarks.inside import inside, namespaces
from benchmarks.main_plugins import POOL, REFERENCE, ROUTED, SUBNET, life, main_plugins
from benchmarks.spawn import Burst, Call
from benchmarks.table import Bar, Row, Scale, Table, figure
from tests.network.namespace import Namespace
from tests.service import IpamdProcess
from tests.waiting import eventually

NAME: Final = "restores"
ABOUT: Final = """\
ADDs with `ipMasq`, pod after pod, on a node whose table `nat` has a chain of {rules:,} rules: while nobody
touches it, and while a loop of `iptables-nft-restore --noflush` rewrites it, as kube-proxy does. Rounds of
{seconds} s in turn. An ADD of the reference takes so long that few fit, so its p99 is its slowest."""
WAIT: Final = """\
Where the time goes: a transaction of the packet filter lasts some 0.2 s here. Until it ends the kernel (seen
on Linux 6.18) holds whoever makes or removes a device in that network namespace: `register_netdevice` waits
in `nf_tables_netdev_event`. A bare pair, which `ip link add` makes, shows that wait alone. An ADD makes one
device in the node's namespace and reads the packet filter without a lock, so it waits once at most. The
reference waits again for each rule that it writes."""
RULES: Final = {Scale.QUICK: 200, Scale.FULL: 20_000}
SECONDS: Final = {Scale.QUICK: 0.3, Scale.FULL: 4}
ROUNDS: Final = {Scale.QUICK: 1, Scale.FULL: 3}
BARE: Final = "a bare pair"
PAIR: Final = ("/usr/sbin/ip", "link", "add", "bare0", "type", "veth", "peer", "name", "bare1")
QUIET: Final = "quiet"
RESTORING: Final = "restoring"
DOUBLE: Final = Bar(2, at_least=False)

Calls = Callable[[], Burst]


def measure(scale: Scale) -> Table:
    """Run it."""
    rules, seconds = RULES[scale], SECONDS[scale]
    about = ABOUT.format(rules=rules, seconds=seconds)
    table = Table(NAME, "The main plugin beside a busy packet filter", about, notes=[WAIT.replace("\n", " ")])
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    with (
        TemporaryDirectory(prefix="ipamd-bench-") as scratch,
        running_filled({POOL: SUBNET}, pinned=False) as service,
        namespaces("node", "pod") as (node, pod),
    ):
        folder = Path(scratch)
        written = _rules(folder, rules)
        node.run("iptables-nft-restore", "--noflush", str(written))
        contenders = _contenders(service, node, pod, folder)
        for _ in range(ROUNDS[scale]):
            for name, once in contenders.items():
                found[name, QUIET].append(_p99(once, seconds))
                with _restoring(node, written):
                    found[name, RESTORING].append(_p99(once, seconds))
        check_held(service, POOL, 0)
    figures = {key: figure("ms", rounds) for key, rounds in found.items()}
    for name in contenders:
        measure = f"p99, {RESTORING}: {name}"
        bars = (DOUBLE,) if name == ROUTED else ()
        table.add(Row(measure, figures[name, RESTORING], QUIET, figures[name, QUIET], bars))
    for peer in (BARE, REFERENCE):
        measure = f"p99, {RESTORING}: {ROUTED}"
        table.add(Row(measure, figures[ROUTED, RESTORING], peer, figures[peer, RESTORING]))
    return table


def _contenders(service: IpamdProcess, node: Namespace, pod: Namespace, folder: Path) -> dict[str, Calls]:
    """What makes one ADD, by name; all is taken away again when it returns."""

    def adding(contender: Contender) -> Calls:
        return lambda: life(contender, node, [pod], folder)["ADD"]

    def bare() -> Burst:
        with inside(node):
            burst = spawn.run([Call(PAIR, {}, Path(os.devnull))], 1, folder)
        spawn.succeeded(burst)
        node.run("ip", "link", "delete", "bare0")
        return burst

    plugins = main_plugins(service, folder, (ROUTED, REFERENCE), ipMasq=True)
    return {BARE: bare} | {name: adding(contender) for name, contender in plugins.items()}


def _p99(once: Calls, seconds: float) -> float:
    """Milliseconds within which 99 of 100 calls were done, made one after another for so long."""
    done = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done += once().done
    return Burst(done, seconds).percentile(0.99)


def _rules(folder: Path, number: int) -> Path:
    """A chain of so many rules, as iptables-restore reads them."""
    first = int(IPv4Address("172.16.0.0"))
    rules = (f"-A BENCH -d {IPv4Address(first + each)}/32 -p tcp -j RETURN" for each in range(number))
    path = folder / "rules"
    path.write_text("\n".join(["*nat", ":BENCH - [0:0]", *rules, "COMMIT", ""]))
    return path


@contextmanager
def _restoring(node: Namespace, rules: Path) -> Iterator[None]:
    """Restore rules in the node, again and again, from a time when they are there already."""
    restored = rules.with_suffix(".restored")
    restored.unlink(missing_ok=True)
    loop = f"while iptables-nft-restore --noflush {rules}; do echo >> {restored}; done"
    process = subprocess.Popen([*node.prefix(), "sh", "-c", loop], start_new_session=True)
    try:
        eventually(restored.exists)
        before = restored.stat().st_size
        yield
        assert process.poll() is None, "a restore failed"
        assert restored.stat().st_size > before, "no restore ended meanwhile"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
