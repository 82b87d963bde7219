"""docker-compose.yml says what docs/docker.md promises, to whichever of the two programs Debian has."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.node_executable import ROOT

FILE = ROOT / "docker-compose.yml"


def config(*options: str) -> dict[str, Any]:
    done = subprocess.run(
        ["docker-compose", "-f", str(FILE), *options, "config"],
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = yaml.safe_load(done.stdout)
    return read


def mounts(services: dict[str, Any], *names: str) -> list[tuple[str, str]]:
    """What is mounted where, in services or in all: 1.29 writes texts, version 2 objects."""
    volumes = [volume for name in names or services for volume in services[name].get("volumes", [])]
    parts = [one.split(":") if isinstance(one, str) else [one["source"], one["target"]] for one in volumes]
    return [(part[0], part[1]) for part in parts]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = config("--profile", "monitoring")["services"]
    return found


def test_both_replicas_answer_to_one_name_and_wait_for_the_migration(services: dict[str, Any]) -> None:
    for name in ("ipamd-1", "ipamd-2"):
        assert services[name]["networks"]["default"]["aliases"] == ["ipamd"]
        assert services[name]["depends_on"]["prepare"]["condition"] == "service_completed_successfully"
    assert services["prepare"]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_nothing_is_published_beyond_loopback(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]

    assert len(published) == 3
    hosts = {port.split(":")[0] if isinstance(port, str) else port.get("host_ip") for port in published}
    assert hosts == {"127.0.0.1"}


def test_data_and_tokens_are_on_volumes(services: dict[str, Any]) -> None:
    assert ("database", "/var/lib/postgresql/data") in mounts(services, "postgres")
    assert ("tokens", "/etc/ipamd") in mounts(services, "ipamd-1")


def test_every_file_that_is_mounted_is_in_the_project(services: dict[str, Any]) -> None:
    files = [Path(source) for source, _ in mounts(services) if source.startswith("/")]

    assert {file.name for file in files} == {"prometheus.yml", "rules.yaml"}
    assert [file for file in files if not file.is_file()] == []


def test_the_configuration_of_prometheus_is_one() -> None:
    done = subprocess.run(
        ["promtool", "check", "config", "--syntax-only", str(ROOT / "scripts" / "prometheus.yml")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_all_that_the_image_copies_is_let_into_its_context() -> None:
    let_in = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from|\. )(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert copied
    assert [path for path in copied if path not in let_in] == []


def test_the_image_runs_as_a_number_that_is_not_roots() -> None:
    users = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert users == [("8750", "8750")]
