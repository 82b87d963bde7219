"""ipamctl of one version with the service of another, in both ways."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.faults.upgrade.version import Version
from tests.service import IpamdProcess

POOL = {
    "name": "desired",
    "subnet": "10.9.0.0/24",
    "exclusions": ["10.9.0.9"],
    "selectors": {"nodes": ["none"]},
}
RESERVATION = {"address": "10.9.0.77", "namespace": "prod", "name": "db-0"}


def ipamctl(version: Version, service: IpamdProcess, *arguments: str) -> str:
    """What a command prints, which is to succeed."""
    command = [str(version.executables / "ipamctl"), "--endpoint", service.endpoint, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done
    return done.stdout


@pytest.mark.parametrize(("admins", "servers"), [("before", "now"), ("now", "before")])
def test_a_file_is_applied_and_exported(
    request: pytest.FixtureRequest,
    admins: str,
    servers: str,
    services: dict[str, IpamdProcess],
    scratch: Path,
) -> None:
    version: Version = request.getfixturevalue(admins)
    service = services[servers]
    desired = scratch / "desired.yaml"
    desired.write_text(yaml.safe_dump({"pools": [POOL], "reservations": [RESERVATION]}))

    ipamctl(version, service, "apply", "-f", str(desired))
    exported = yaml.safe_load(ipamctl(version, service, "export"))

    [pool] = [each for each in exported["pools"] if each["name"] == POOL["name"]]
    assert pool | POOL == pool
    assert exported["reservations"][0] | RESERVATION == exported["reservations"][0]
