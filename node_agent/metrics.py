"""Metrics for Prometheus, and the small application on loopback that serves them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ipam_plugin.leases import layout
from node_agent.facts import Facts, Waiting
from node_agent.leasing.state import State
from node_agent.pod_network.carrying import PodNetwork
from node_agent.pod_network.network import Mode

_BUCKETS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
UNKNOWN: Final = float("nan")


class Measures:
    """The counters and gauges of the agent. Gauges are computed at a scrape."""

    def __init__(
        self, facts: Facts, state_dir: Path, lease: State, network: PodNetwork | None = None
    ) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "ipamd_agent_calls", "Calls of the plugin by verb and HTTP status", ["verb", "outcome"],
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "ipamd_agent_call_seconds", "How long ipamd took for a call, as the node sees it", ["verb"],
            buckets=_BUCKETS, registry=self.registry,
        )  # fmt: skip

        def waiting(part: Callable[[Waiting], float]) -> float:
            try:
                return part(Waiting.of(state_dir))
            except (OSError, ValueError):
                return UNKNOWN

        for name, help_text, value in (
            ("up", "1 if ipamd answered the last look, else 0", lambda: float(facts.upstream is not None)),
            ("latency_seconds", "Time of the last look at ipamd", lambda: _known(facts.latency)),
            ("joined", "1 if the node has a token, else 0", lambda: float(facts.joined)),
            (
                "token_expires_timestamp_seconds",
                "When the node's token expires",
                lambda: _known(facts.token_expires),
            ),
            ("last_error_timestamp_seconds", "Time of the last error", lambda: _known(facts.last_error_at)),
            ("spool_entries", "Releases that wait", lambda: waiting(lambda one: one.entries)),
            (
                "spool_oldest_seconds",
                "Age of the oldest waiting release",
                lambda: waiting(lambda one: one.oldest_seconds),
            ),
            ("spool_set_aside", "Releases that ipamd refused", lambda: waiting(lambda one: one.set_aside)),
        ):
            Gauge(f"ipamd_agent_{name}", help_text, registry=self.registry).set_function(value)
        self._measure_lease(lease)
        if network is not None:
            self._measure_network(network)

    def _measure_lease(self, lease: State) -> None:
        """Gauges of what the node holds in advance."""
        for name, help_text, value in (
            ("open", "1 if the node gives addresses that it holds in advance", lambda: float(lease.is_open)),
            ("seconds_left", "How long it may give them without ipamd", lambda: float(lease.seconds_left)),
            ("unreported_events", "Begins and ends that ipamd has not heard of", lambda: lease.unreported),
            ("oldest_unreported_seconds", "Age of the oldest of them", lambda: lease.oldest_seconds),
            (
                "last_report_timestamp_seconds",
                "When ipamd acknowledged a report last",
                lambda: _known(lease.reported_at),
            ),
            (
                "refused_configurations",
                "Networks of which ipamd leases nothing: `ipamd-agent status` says why",
                lambda: float(len(lease.refused)),
            ),
        ):
            Gauge(f"ipamd_agent_lease_{name}", help_text, registry=self.registry).set_function(value)
        seats = Gauge(
            "ipamd_agent_lease_seats", "Answers of the lease by what became of them", ["state"],
            registry=self.registry,
        )  # fmt: skip
        for state, text in (
            (layout.FREE, "free"),
            (layout.HELD, "taken"),
            (layout.RETURNING, "returning"),
        ):
            seats.labels(text).set_function(partial(lease.count, state))

    def _measure_network(self, network: PodNetwork) -> None:
        """Gauges of the pod network."""
        for name, help_text, value in (
            ("routes_wanted", "Routes that the pod network needs", lambda: float(network.routes()[0])),
            ("routes_there", "Routes that the kernel has of them", lambda: float(network.routes()[1])),
            ("faults", "Faults that `ipamd-agent status` names", lambda: float(len(network.faults()))),
        ):
            gauge = Gauge(f"ipamd_agent_network_{name}", help_text, registry=self.registry)
            gauge.set_function(value)
        peers = Gauge("ipamd_agent_network_peers", "Other nodes by mode", ["mode"], registry=self.registry)
        for mode in Mode:
            peers.labels(mode).set_function(partial(network.peers, mode))

    def count(self, verb: str, outcome: str, seconds: float | None = None) -> None:
        """Count a call, and how long ipamd took if it answered."""
        self._calls.labels(verb, outcome).inc()
        if seconds is not None:
            self._seconds.labels(verb).observe(seconds)


def application(measures: Measures) -> Starlette:
    """`/healthz` and `/metrics`, for loopback. They contain no secrets."""

    async def healthz(request: Request) -> Response:
        del request
        return JSONResponse({"status": "ok"})

    async def metrics(request: Request) -> Response:
        del request
        return Response(generate_latest(measures.registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", metrics)])


def _known(value: float | None) -> float:
    return UNKNOWN if value is None else value
