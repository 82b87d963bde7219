"""Source distribution and wheels: built, installed outside the checkout, and used there."""

import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.release.packaging.distribution import Environment, build, described_node, unpack
from tests.service import scratch_folder

SCRIPTS = Path(__file__).parents[3] / "scripts"

ELF = b"\x7fELF"


@pytest.fixture(scope="module")
def node() -> Path:
    """The node executable of this machine's architecture, ready for a release."""
    return described_node()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder outside the checkout for all tests of this module."""
    with scratch_folder() as made:
        yield made


@pytest.fixture(scope="module")
def wheels(folder: Path, node: Path) -> dict[str, Path]:
    """Wheels out of the checkout, in one folder: for every machine, and for this machine's architecture."""
    out = folder / "wheels"
    return {"any": build("wheel", out), "own": build("wheel", out, IPAMD_NODE_FOLDER=node)}


@pytest.fixture(scope="module")
def installed(folder: Path, wheels: dict[str, Path]) -> Environment:
    """An environment with ipamd as pip takes it out of both wheels."""
    return Environment.with_ours(folder / "own", "--find-links", wheels["own"].parent, "ipamd")


def test_pip_takes_the_wheel_with_the_static_plugin_and_puts_it_on_the_path(
    installed: Environment, node: Path
) -> None:
    for name in ("ipamd-ipam", "ipamd-veth"):
        plugin = installed.commands / name

        assert plugin.read_bytes() == (node / "ipamd-ipam").read_bytes()
        assert plugin.stat().st_mode & 0o111 == 0o111


def test_what_is_installed_serves_and_gives_addresses_outside_the_checkout(
    installed: Environment, scratch: Path
) -> None:
    where = "import ipamd, ipam_plugin, node_agent; print(ipamd, ipam_plugin, node_agent, sep='\\n')"
    modules = installed.run("python", "-c", where).out.splitlines()

    assert [str(installed.folder) in module for module in modules] == [True] * 3
    assert installed.give_an_address(scratch) == "10.7.0.2/24"


def test_its_agent_puts_the_plugin_of_the_wheel_on_a_node(
    installed: Environment, scratch: Path, node: Path
) -> None:
    root = installed.put_on_a_node(scratch)

    for name in ("ipamd-ipam", "ipamd-veth"):
        assert (root / "opt/cni/bin" / name).read_bytes() == (node / "ipamd-ipam").read_bytes()
    assert (root / "etc/cni/net.d/10-pods.conflist").exists()


def test_licences_and_bill_of_materials_come_with_the_executable(
    installed: Environment, wheels: dict[str, Path], node: Path
) -> None:
    beside = installed.folder / "lib/ipamd/node" / node.name
    names = zipfile.ZipFile(wheels["own"]).namelist()

    assert "MicroPython" in (beside / "LICENSES").read_text()
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=beside, check=True)
    assert [name for name in names if name.endswith(".dist-info/sboms/ipamd-ipam.cdx.json")] != []


def test_the_plugin_for_cpython_is_the_command_of_the_other_wheel_and_a_module_of_both(
    folder: Path, installed: Environment, wheels: dict[str, Path], scratch: Path
) -> None:
    pure = Environment.with_ours(folder / "any", wheels["any"])

    for name in ("ipamd-ipam", "ipamd-veth"):
        program = pure.commands / f"{name}-cpython"
        assert program.read_bytes().startswith(b"#!" + bytes(pure.commands))
        assert (pure.commands / name).read_bytes() == (SCRIPTS / "ipamd-ipam").read_bytes()
    assert pure.give_an_address(scratch) == "10.7.0.2/24"
    for environment in (pure, installed):
        for module in ("ipam_plugin", "veth_plugin"):
            about = environment.run("python", "-m", module)
            assert (about.code, "CNI protocol versions" in about.complaint) == (0, True)


def test_the_wheel_says_for_which_machines_it_is(wheels: dict[str, Path], node: Path) -> None:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[node.name]
    name = wheels["own"].name

    assert name.endswith(f"-py3-none-manylinux_2_17_{machine}.musllinux_1_1_{machine}.whl")
    assert wheels["any"].name.endswith("-py3-none-any.whl")


def test_out_of_the_source_distribution_come_the_same_bytes_at_another_time_and_place(
    folder: Path, node: Path, wheels: dict[str, Path]
) -> None:
    sdist = build("sdist", folder / "first")
    source = unpack(sdist, folder / "source")
    for path in source.rglob("*"):
        path.touch()

    again = build("sdist", folder / "second", source)
    pure = build("wheel", folder / "second", source)
    own = build("wheel", folder / "second", source, IPAMD_NODE_FOLDER=node)

    assert again.read_bytes() == sdist.read_bytes()
    assert pure.read_bytes() == wheels["any"].read_bytes()
    assert own.read_bytes() == wheels["own"].read_bytes()


@pytest.mark.parametrize(
    ("missing", "said"),
    [("LICENSES", "has no LICENSES: `make release-node` makes it"), ("", "is no executable for arm64")],
)
def test_a_wheel_with_half_of_what_it_needs_or_for_another_machine_is_not_built(
    scratch: Path, node: Path, missing: str, said: str
) -> None:
    other = scratch / {"amd64": "arm64", "arm64": "amd64"}[node.name]
    shutil.copytree(node, other)
    if missing:
        (other / missing).unlink()

    with pytest.raises(RuntimeError, match=said):
        build("wheel", scratch / "out", IPAMD_NODE_FOLDER=other)

    assert list(scratch.glob("out/*")) == []
