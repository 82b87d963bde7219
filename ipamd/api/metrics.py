"""Metrics for Prometheus. Names follow its conventions: base units, and `_total` for counters.

The rest of ipamd counts in plain numbers, which become metrics at a scrape. No value of a label comes from a
caller: admins name pools, quotas and holds, and all others are fixed words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from ipamd import __version__
from ipamd.api.call_measures import CallMeasures
from ipamd.engine.census.censuses import Counts as DeadCounts
from ipamd.engine.clock import Clock
from ipamd.engine.inspection.nodes import SilentNodes
from ipamd.engine.inspection.queries import QuotaUse
from ipamd.engine.inspection.usage import Usage
from ipamd.engine.inventory import GoneNodes
from ipamd.engine.leasing.lease_uses import Counts as LeaseCounts
from ipamd.engine.measures import Histogram, Measures
from ipamd.models.hold import HoldUse
from ipamd.models.instant import SECOND

MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
STATES: Final = ("allocated", "leased", "held", "cooling", "reserved", "excluded", "free")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrape:
    """What the metrics of one scrape are made of.

    `waiting` are the calls that wait for a batch, `waiters` the allocations that wait for room here.
    """

    calls: CallMeasures
    engine: Measures
    clock: Clock
    waiting: int
    waiters: int
    usage: Mapping[str, Usage]
    leases: LeaseCounts
    dead: DeadCounts
    silent: SilentNodes
    gone: GoneNodes
    quotas: Mapping[str, QuotaUse]
    holds: Mapping[str, HoldUse]
    away: Mapping[str, int]
    ready: bool


class _Now(Collector):
    """The metrics of one scrape."""

    def __init__(self, scrape: Scrape) -> None:
        self._scrape = scrape

    def collect(self) -> Iterator[Metric]:
        yield _gauge("ipamd_build_info", "The running version.", 1, version=__version__)
        yield _gauge("ipamd_ready", "1 if ipamd can serve, else 0.", self._scrape.ready)
        yield from self._of_calls()
        yield from self._of_engine()
        yield from self._of_waiters()
        yield from self._of_clock()
        yield from self._of_pools()
        yield from self._of_quotas()
        yield from self._of_holds()

    def _of_calls(self) -> Iterator[Metric]:
        answers = CounterMetricFamily(
            "ipamd_cni_calls", "Answers to the plugin by verb and CNI error code.", labels=("verb", "code")
        )
        for (verb, code), number in sorted(self._scrape.calls.outcomes.items()):
            answers.add_metric((verb, code), number)
        yield answers
        seconds = HistogramMetricFamily(
            "ipamd_cni_call_seconds", "Time from the last byte of a call to its answer.", labels=("verb",)
        )
        for verb, histogram in sorted(self._scrape.calls.seconds.items()):
            seconds.add_metric((verb,), _buckets(histogram), histogram.total)
        yield seconds
        yield CounterMetricFamily(
            "ipamd_releases_held_elsewhere",
            "Releases that freed nothing while their container held addresses under another node, network or "
            "interface.",
            value=self._scrape.calls.held_elsewhere,
        )
        yield _gauge(
            "ipamd_spooled_releases",
            "Releases that wait on nodes, as their last calls said.",
            self._scrape.calls.spooled,
        )

    def _of_engine(self) -> Iterator[Metric]:
        measures = self._scrape.engine
        yield _gauge("ipamd_waiting_calls", "Calls that wait for a batch.", self._scrape.waiting)
        yield HistogramMetricFamily(
            "ipamd_batch_calls",
            "Calls settled in one transaction.",
            buckets=_buckets(measures.batch_calls),
            sum_value=measures.batch_calls.total,
        )
        yield HistogramMetricFamily(
            "ipamd_database_seconds",
            "Time from the beginning of a transaction to its commit.",
            buckets=_buckets(measures.database_seconds),
            sum_value=measures.database_seconds.total,
        )
        yield CounterMetricFamily(
            "ipamd_postponed_calls",
            "Calls that met somebody else's lock and were settled alone.",
            value=measures.contended,
        )
        yield CounterMetricFamily(
            "ipamd_carvings", "How often blocks were carved or looked for.", value=measures.carvings
        )
        yield _counter("ipamd_retries", "Repeated transactions by reason.", "reason", measures.retries)
        yield _counter(
            "ipamd_database_failures",
            "Transactions that the database did not carry out, by cause.",
            "cause",
            measures.failures,
        )

    def _of_waiters(self) -> Iterator[Metric]:
        yield _gauge(
            "ipamd_waiters", "Allocations by REST that wait for room on this replica.", self._scrape.waiters
        )
        yield _counter(
            "ipamd_waits",
            "Allocations that waited, by what became of them.",
            "outcome",
            self._scrape.engine.waits,
        )

    def _of_clock(self) -> Iterator[Metric]:
        yield _counter(
            "ipamd_clock_steps",
            "How often the clock was set, by direction.",
            "direction",
            self._scrape.clock.jumps,
        )
        yield _gauge(
            "ipamd_clock_ahead_seconds",
            "By how much the clock is ahead of the time that was counted; negative if it is behind.",
            self._scrape.clock.ahead / SECOND,
        )

    def _of_pools(self) -> Iterator[Metric]:
        size = GaugeMetricFamily("ipamd_pool_size_addresses", "Addresses of a pool.", labels=("pool",))
        states = GaugeMetricFamily(
            "ipamd_pool_addresses",
            "Addresses of a pool by their use.",
            labels=("pool", "state"),
        )
        away = GaugeMetricFamily(
            "ipamd_pool_away_addresses",
            "Addresses of a pool that owners have and nobody holds. They are allocated.",
            labels=("pool",),
        )
        prefixes = GaugeMetricFamily(
            "ipamd_pool_prefixes",
            "Prefixes of a pool that are held, by their length.",
            labels=("pool", "length"),
        )
        for pool, usage in self._scrape.usage.items():
            for length, count in usage.prefixes.items():
                prefixes.add_metric((pool, str(length)), count)
            away.add_metric((pool,), self._scrape.away.get(pool, 0))
            size.add_metric((pool,), usage.size)
            for state in STATES:
                states.add_metric((pool, state), getattr(usage, state))
        yield size
        yield states
        yield away
        yield prefixes
        yield _gauge("ipamd_leases", "Nodes that may hold addresses in advance.", self._scrape.leases.leases)
        yield _gauge(
            "ipamd_silent_leases",
            "Nodes that hold addresses in advance, and were not heard from for five minutes.",
            self._scrape.leases.silent,
        )
        yield from self._of_the_dead()
        yield from self._of_silent_nodes()

    def _of_quotas(self) -> Iterator[Metric]:
        limits = GaugeMetricFamily(
            "ipamd_quota_limit_addresses", "Addresses that a quota allows.", labels=("quota",)
        )
        used = GaugeMetricFamily(
            "ipamd_quota_used_addresses",
            "Addresses that the fullest namespace uses of a quota, or all that share it.",
            labels=("quota",),
        )
        for quota, use in self._scrape.quotas.items():
            limits.add_metric((quota,), use.limit)
            used.add_metric((quota,), use.used)
        yield limits
        yield used

    def _of_holds(self) -> Iterator[Metric]:
        left = GaugeMetricFamily(
            "ipamd_hold_left_addresses", "Addresses of a hold that no workload has.", labels=("hold",)
        )
        taken = GaugeMetricFamily(
            "ipamd_hold_taken_addresses", "Addresses that workloads have out of a hold.", labels=("hold",)
        )
        for hold, use in self._scrape.holds.items():
            left.add_metric((hold,), use.left)
            taken.add_metric((hold,), use.taken)
        yield left
        yield taken

    def _of_the_dead(self) -> Iterator[Metric]:
        yield _counter(
            "ipamd_dead_addresses",
            "Addresses freed since their containers are gone, by how that is known.",
            "cause",
            self._scrape.engine.dead,
        )
        yield _gauge(
            "ipamd_dead_waiting_addresses",
            "Addresses of dead containers that wait for an admin: more than half of what a node holds.",
            self._scrape.dead.waiting,
        )
        yield _gauge(
            "ipamd_nodes_spoken_for_twice",
            "Nodes for which two machines or boots speak at once, as after a machine was cloned.",
            self._scrape.dead.rivalries,
        )

        yield _gauge(
            "ipamd_restoring",
            "1 while nothing is given to anybody new, since the database is an older one; 0 else.",
            int(self._scrape.dead.is_restoring),
        )

    def _of_silent_nodes(self) -> Iterator[Metric]:
        yield _gauge(
            "ipamd_silent_nodes",
            "Nodes whose agents were not heard from for five minutes.",
            self._scrape.silent.nodes,
        )
        held = GaugeMetricFamily(
            "ipamd_silent_nodes_held", "What silent nodes hold, by kind.", labels=("kind",)
        )
        for kind in ("addresses", "seats", "blocks"):
            held.add_metric((kind,), getattr(self._scrape.silent, kind))
        yield held
        yield _gauge(
            "ipamd_gone_nodes", "Nodes that their clusters do not have any more.", self._scrape.gone.gone
        )
        yield _gauge(
            "ipamd_gone_nodes_waiting",
            "Nodes that are gone and wait for an admin: more than half of those that their cluster had.",
            self._scrape.gone.waiting,
        )


def exposition(scrape: Scrape) -> bytes:
    """The page of a scrape."""
    registry = CollectorRegistry()
    registry.register(_Now(scrape))
    for of_process in (ProcessCollector, PlatformCollector, GCCollector):
        of_process(registry=registry)
    return generate_latest(registry)


def _gauge(name: str, what: str, value: float, **labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, what, labels=tuple(labels))
    family.add_metric(tuple(labels.values()), value)
    return family


def _counter(name: str, what: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, what, labels=(label,))
    for word, number in sorted(counts.items()):
        family.add_metric((word,), number)
    return family


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """Cumulative buckets, as the exposition format wants them."""
    bounds = [*(f"{bound:g}" for bound in histogram.bounds), "+Inf"]
    total = 0
    cumulated = []
    for bound, count in zip(bounds, histogram.counts, strict=True):
        total += count
        cumulated.append((bound, float(total)))
    return cumulated
