"""The alerts fire when they should, and neither they nor the dashboard ask for what nobody tells."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.api.plugin_call import call
from tests.node_executable import ROOT
from tests.service import IpamdProcess

HERE = Path(__file__).parent

MONITORING = ROOT / "charts" / "ipamd" / "monitoring"
RULES = MONITORING / "rules.yaml"
DASHBOARD = MONITORING / "dashboard.json"
METRICS = ROOT / "docs" / "metrics.md"

ALERTS = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def asked_for(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:ipamd|process)_[a-z_]+", expression))


@pytest.fixture
def told(ipamd_process: IpamdProcess) -> set[str]:
    """The names of all samples of an ipamd that has answered a call."""
    ipamd_process.create_pool("pods", "10.0.0.0/24")
    quota = {"name": "team-a", "limit": 5, "namespaces": ["team-a"]}
    ipamd_process.http.post("/v1/quotas", json=quota)
    ipamd_process.http.post("/v1/cni/add", json=call())
    page = ipamd_process.http.get("/metrics").text
    families = list(text_string_to_metric_families(page))
    # A family that counts nothing yet has a name and no sample.
    named = {f"{family.name}_total" for family in families if family.type == "counter"}
    return named | {sample.name for family in families for sample in family.samples}


def test_promtool_takes_the_rules() -> None:
    promtool("check", "rules", str(RULES))


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    cases = tmp_path / "rules_test.yaml"
    cases.write_text((HERE / "rules_test.yaml").read_text().replace("RULES", str(RULES)))

    promtool("test", "rules", str(cases))


def test_rules_ask_for_what_is_told(told: set[str]) -> None:
    assert asked_for(" ".join(alert["expr"] for alert in ALERTS)) <= told


def test_the_dashboard_asks_for_what_is_told(told: set[str]) -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]

    assert len(expressions) >= len(panels)
    assert asked_for(" ".join(expressions)) <= told


def test_every_metric_of_ours_is_described(told: set[str]) -> None:
    page = METRICS.read_text()
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in told if name.startswith("ipamd_")}

    assert {name for name in ours if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_where_to_read_what_to_do(alert: dict[str, dict[str, str]]) -> None:
    page, _, heading = alert["annotations"]["runbook"].partition("#")

    headings = re.findall(r"^#+ (.+)$", (ROOT / page).read_text(), re.MULTILINE)

    assert heading in {each.lower() for each in headings}
