"""What a release is made of, as `make release-check` has built it: each part installed in something empty."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cni_plugin import VERSION
from tests.node_executable import ROOT
from tests.release.charts.chart import CHART, HELMS, LEAST, helm
from tests.release.native.empty_root import EmptyRoot
from tests.release.packaging.distribution import Environment
from tests.service import IpamdProcess

pytestmark = [pytest.mark.release, pytest.mark.timeout(600)]

DIST = ROOT / "dist"
SECONDS = 300
ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
WHEELS = {
    "any": "py3-none-any",
    **{name: f"py3-none-manylinux_2_17_{it}.musllinux_1_1_{it}" for name, it in ARCHITECTURES.items()},
}
BESIDE = ("ipamd-ipam", "ipamd-veth", "LICENSES", "ipamd-ipam.cdx.json", "SHA256SUMS")
PACKAGES = ("ipamd", "ipamd-agent", "ipamd-common", "ipamd-node")


def wheel(kind: str) -> Path:
    return DIST / "wheels" / f"ipamd-{VERSION}-{WHEELS[kind]}.whl"


SDIST = DIST / "wheels" / f"ipamd-{VERSION}.tar.gz"
CHART_PACKAGE = DIST / "charts" / f"ipamd-{VERSION}.tgz"


def emulator(architecture: str) -> Path | None:
    """What runs executables of another architecture, amd64 being this machine's."""
    return None if architecture == "amd64" else Path(f"/usr/bin/qemu-{ARCHITECTURES[architecture]}-static")


def test_a_release_is_these_files() -> None:
    node = {DIST / "node" / name / file for name in ARCHITECTURES for file in BESIDE}
    debian = {DIST / "deb" / f"{name}_{VERSION}_amd64.deb" for name in PACKAGES}

    assert {path for path in DIST.rglob("*") if path.is_file()} == {
        *(SDIST, CHART_PACKAGE),
        *map(wheel, WHEELS),
        *node,
        *debian,
    }


def test_the_source_distribution_is_all_of_the_project() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    packed = subprocess.run(["tar", "-tzf", SDIST], check=True, capture_output=True, text=True)

    ours = {name for name in tracked.stdout.splitlines() if not name.startswith(".ci/")}
    assert {name.partition("/")[2] for name in packed.stdout.splitlines()} == ours | {"PKG-INFO"}


@pytest.mark.parametrize("file", [SDIST, wheel("any"), wheel("amd64")], ids=["sdist", "any", "amd64"])
def test_what_python_installs_gives_addresses_in_an_empty_environment(file: Path, scratch: Path) -> None:
    environment = Environment.with_own(scratch / "environment", file)

    assert environment.run("ipamd", "--version").out == f"ipamd {VERSION}\n"
    assert environment.give_an_address(scratch) == "10.7.0.2/24"


@pytest.mark.parametrize("library", ["manylinux_2_17", "musllinux_1_1"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_pip_finds_the_wheel_of_a_machine_whatever_its_c_library(
    library: str, architecture: str, scratch: Path
) -> None:
    machine = f"{library}_{ARCHITECTURES[architecture]}"
    there = scratch / "there"
    pip = [sys.executable, "-m", "pip", "--quiet", "install", "--no-deps", "--no-index"]
    choice = ["--platform", machine, "--only-binary", ":all:", "--find-links", str(DIST / "wheels")]
    subprocess.run([*pip, *choice, "--target", str(there), f"ipamd=={VERSION}"], check=True, timeout=SECONDS)

    installed = there / "bin" / "ipamd-ipam"
    assert installed.read_bytes() == (DIST / "node" / architecture / "ipamd-ipam").read_bytes()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_executable_gives_an_address_in_an_empty_root(
    architecture: str, scratch: Path, ipamd_process: IpamdProcess
) -> None:
    folder = DIST / "node" / architecture
    root = EmptyRoot(scratch / "root", folder / "ipamd-ipam", emulator(architecture))
    ipamd_process.create_pool("pods", "10.9.0.0/24")

    added = root.call("ADD", ipamd_process.tcp_endpoint)

    assert added.returncode == 0, added
    assert ipamd_process.addresses() == {"10.9.0.2"}
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)


@pytest.mark.parametrize("by", HELMS, ids=lambda path: path.parent.name)
def test_helm_makes_of_the_packed_chart_what_it_makes_of_its_folder(by: Path) -> None:
    linted = helm(by, "lint", "--strict", str(CHART_PACKAGE), values=LEAST)
    packed = helm(by, "template", "ipamd", str(CHART_PACKAGE), values=LEAST)
    folder = helm(by, "template", "ipamd", str(CHART), values=LEAST)

    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert but_generated(packed.stdout) == but_generated(folder.stdout) != []
    assert f"ipamd:{VERSION}" in packed.stdout


def but_generated(manifests: str) -> list[object]:
    """What helm made, without what it made up: tokens and keys."""
    return [one for one in yaml.safe_load_all(manifests) if one is not None and one["kind"] != "Secret"]


def test_the_debian_packages_are_those_of_this_source(scratch: Path) -> None:
    build = [ROOT / "deploy" / "debian" / "build", scratch / "again"]
    subprocess.run(build, check=True, capture_output=True, timeout=SECONDS)

    again = {path.name: path.read_bytes() for path in (scratch / "again").iterdir()}
    assert again == {path.name: path.read_bytes() for path in (DIST / "deb").iterdir()}
