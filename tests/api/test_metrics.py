"""What Prometheus is told."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.api.plugin_call import call
from tests.service import IpamdProcess

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(http: httpx.Client) -> Samples:
    answer = http.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def test_a_pool_says_what_its_addresses_are_used_for(ipamd_process: IpamdProcess) -> None:
    http = ipamd_process.http
    ipamd_process.create_pool("pods", "10.0.0.0/28", exclusions=["10.0.0.14"], cooldown=600)
    http.post("/v1/reservations", json={"address": "10.0.0.13", "name": "kept", "namespace": "default"})
    for container in ("c1", "c2", "c3"):
        http.post("/v1/cni/add", json=call(container))
    http.post("/v1/cni/del", json=call("c3"))

    samples = scraped(http)

    states = ("allocated", "leased", "cooling", "reserved", "excluded", "free")
    told = {state: of(samples, "ipamd_pool_addresses", pool="pods", state=state) for state in states}
    assert told == {"allocated": 2, "leased": 0, "cooling": 1, "reserved": 1, "excluded": 4, "free": 8}
    assert of(samples, "ipamd_pool_size_addresses", pool="pods") == sum(told.values()) == 16


def test_a_pool_says_how_many_prefixes_of_each_length_are_held(ipamd_process: IpamdProcess) -> None:
    http = ipamd_process.http
    ipamd_process.create_pool("pods", "10.0.0.0/24")
    ipamd_process.create_pool("of-64", "fd00::/48", prefix_length=64)
    wanted = [("pods", 28), ("pods", 28), ("pods", 30), ("of-64", 64), ("of-64", 62)]
    made = [
        http.post("/v1/allocations", json={"owner": "vm", "pool": pool, "prefix_length": length}).json()
        for pool, length in wanted
    ]

    def told() -> set[str]:
        lines = http.get("/metrics").text.splitlines()
        return {line for line in lines if line.startswith("ipamd_pool_prefixes{")}

    before = told()
    http.delete(f"/v1/allocations/{made[2]['id']}")

    gone = 'ipamd_pool_prefixes{length="30",pool="pods"} 1.0'
    assert before == {
        'ipamd_pool_prefixes{length="28",pool="pods"} 2.0',
        gone,
        'ipamd_pool_prefixes{length="62",pool="of-64"} 1.0',
        'ipamd_pool_prefixes{length="64",pool="of-64"} 1.0',
    }
    assert told() == before - {gone}
    assert 'ipamd_pool_addresses{pool="of-64",state="allocated"} 5.0' in http.get("/metrics").text


def test_calls_are_counted_by_verb_and_code(ipamd_process: IpamdProcess) -> None:
    http = ipamd_process.http
    ipamd_process.create_pool("pods", "10.0.0.0/30")
    for container in ("c1", "c2", "c2"):
        http.post("/v1/cni/add", json=call(container))
    http.post("/v1/cni/del", json=call("c1"))
    http.post("/v1/cni/add", content=b"{", headers={"Content-Type": "application/json"})

    samples = scraped(http)

    assert of(samples, "ipamd_cni_calls_total", verb="add", code="ok") == 1
    assert of(samples, "ipamd_cni_calls_total", verb="add", code="100") == 2
    assert of(samples, "ipamd_cni_calls_total", verb="add", code="6") == 1
    assert of(samples, "ipamd_cni_calls_total", verb="del", code="ok") == 1
    assert of(samples, "ipamd_cni_call_seconds_count", verb="add") == 4
    assert of(samples, "ipamd_cni_call_seconds_bucket", verb="add", le="+Inf") == 4
    assert of(samples, "ipamd_cni_call_seconds_sum", verb="add") > 0


def test_a_call_that_is_refused_unread_is_counted_and_says_nothing_of_the_time(
    ipamd_process: IpamdProcess,
) -> None:
    too_large = b" " * (256 * 1024 + 1)

    answer = ipamd_process.http.post(
        "/v1/cni/add", content=too_large, headers={"Content-Type": "application/json"}
    )

    samples = scraped(ipamd_process.http)
    assert answer.status_code == 413
    assert of(samples, "ipamd_cni_calls_total", verb="add", code="103") == 1
    assert not any(name == "ipamd_cni_call_seconds_count" for name, _ in samples)


def test_the_engine_says_how_it_worked(ipamd_process: IpamdProcess) -> None:
    http = ipamd_process.http
    ipamd_process.create_pool("pods", "10.0.0.0/24")
    for number in range(5):
        http.post("/v1/cni/add", json=call(f"c{number}"))

    samples = scraped(http)

    assert of(samples, "ipamd_batch_calls_sum") >= 5
    assert of(samples, "ipamd_batch_calls_count") >= 5
    assert of(samples, "ipamd_database_seconds_count") >= 6
    assert of(samples, "ipamd_carvings_total") == 1
    assert of(samples, "ipamd_waiting_calls") == 0
    assert of(samples, "ipamd_waiters") == 0
    assert {dict(labels)["outcome"] for name, labels in samples if name == "ipamd_waits_total"} == {
        "served",
        "refused",
        "gone",
        "stopped",
    }
    assert of(samples, "ipamd_ready") == 1
    assert {dict(labels)["reason"] for name, labels in samples if name == "ipamd_retries_total"} == {
        "catalogue",
        "constraint",
        "doubt",
        "quota",
    }
    assert of(samples, "process_resident_memory_bytes") > 0


def test_a_node_says_what_waits_in_its_spool(ipamd_process: IpamdProcess) -> None:
    http = ipamd_process.http
    ipamd_process.create_pool("pods", "10.0.0.0/24")
    http.post("/v1/cni/add", json=call("c1", node="n1", spooled=3))
    http.post("/v1/cni/add", json=call("c2", node="n2", spooled=2))
    before = scraped(http)
    http.post("/v1/cni/add", json=call("c3", node="n1", spooled=0))

    after = scraped(http)

    assert of(before, "ipamd_spooled_releases") == 5
    assert of(after, "ipamd_spooled_releases") == 2


def test_no_label_holds_what_a_caller_wrote(ipamd_process: IpamdProcess) -> None:
    http = ipamd_process.http
    http.post("/v1/cni/add", json=call("evil-container", node="evil-node", config={"name": "evil-net"}))

    assert "evil" not in http.get("/metrics").text
