"""The Debian packages: installed, upgraded and purged, in a root of their own over this machine's."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.node_executable import ROOT

pytestmark = pytest.mark.timeout(1200)

SECONDS = 300
MEMORY: Final = 1
DEVICES: Final = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
"""What a package needs of /dev, by minor numbers (Documentation/admin-guide/devices.txt).

The root has nodes of its own: who removes a folder in which the machine's /dev is mounted removes that.
"""


def built(version: str, folder: Path) -> dict[str, Path]:
    """The packages by their names, as of a version."""
    done = subprocess.run(
        [ROOT / "deploy" / "debian" / "build", folder],
        env={**os.environ, "VERSION": version},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return {file.name.partition("_")[0]: file for file in folder.iterdir()}


def newer(packages: dict[str, Path], version: str, folder: Path) -> dict[str, Path]:
    """The same packages under another version: building takes long, and they would be the same but for it."""
    folder.mkdir()
    for name, package in packages.items():
        files = folder / name
        subprocess.run(["dpkg-deb", "--raw-extract", package, files], check=True)
        control = files / "DEBIAN" / "control"
        control.write_text(control.read_text().replace("0.1.0", version))
        made = folder / f"{name}.deb"
        packing = ("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(files), str(made))
        subprocess.run(packing, check=True, capture_output=True)
    return {name: folder / f"{name}.deb" for name in packages}


class Root:
    """This machine's files with a layer over them: what is done here is gone with the layer."""

    def __init__(self, folder: Path) -> None:
        self._layer, self.path = folder / "layer", folder / "root"
        for each in (self._layer, self.path):
            each.mkdir()

    def mount(self) -> None:
        upper, work = self._layer / "upper", self._layer / "work"
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(self._layer)], check=True)
        upper.mkdir()
        work.mkdir()
        layers = f"lowerdir=/,upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(self.path)], check=True)
        subprocess.run(["mount", "-t", "proc", "proc", str(self.path / "proc")], check=True)
        for name in ("dev", "run", "tmp"):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(self.path / name)], check=True)
        for name, minor in DEVICES.items():
            os.mknod(self.path / "dev" / name, 0o666 | stat.S_IFCHR, os.makedev(MEMORY, minor))
        (self.path / "dev/fd").symlink_to("/proc/self/fd")

    def unmount(self) -> None:
        for name in ("tmp", "run", "dev", "proc", ""):
            subprocess.run(["umount", "--lazy", str(self.path / name)], check=True)
        subprocess.run(["umount", "--lazy", str(self._layer)], check=True)

    def run(self, *command: str) -> str:
        """Run in this root; what it printed. Raises if it fails."""
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        done = subprocess.run(
            ["chroot", str(self.path), *command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def install(self, *packages: Path) -> None:
        for package in packages:
            (self.path / "tmp" / package.name).write_bytes(package.read_bytes())
        self.run("dpkg", "--install", *(f"/tmp/{package.name}" for package in packages))

    def has(self, path: str) -> bool:
        return (self.path / path).exists()


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return built("0.1.0", tmp_path_factory.mktemp("packages"))


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    made = Root(tmp_path)
    made.mount()
    yield made
    made.unmount()


SERVE = """
ipamd serve --uds /run/ipamd.sock --port 18750 >/tmp/log 2>&1 &
for _ in $(seq 100); do [ -S /run/ipamd.sock ] && break; sleep 0.1; done
{commands}
kill $!
wait
"""
CTL = "ipamctl --endpoint unix:///run/ipamd.sock"
OPEN_THE_PAGE = """
import re, urllib.request
def read(path):
    return urllib.request.urlopen("http://127.0.0.1:18750" + path).read().decode()
files = re.findall(r'(?:src|href)="(/ui/static/[^"]+)"', read("/ui/pools/pods"))
print("page:", *(file.partition("?")[0].rpartition("/")[2] for file in files if read(file)))
"""
"""Raises if a file of the page is not there."""


CONFIGURE_WITHOUT_DATABASE = """
mkdir -p /run/systemd/system /tmp/bin
echo '[ "$1" != try-restart ]' > /tmp/bin/systemctl
chmod +x /tmp/bin/systemctl
PATH=/tmp/bin:$PATH sh /var/lib/dpkg/info/ipamd.postinst configure 0.1.0 2>&1
rm -r /run/systemd/system
"""
"""What dpkg does at an upgrade where systemd runs, and ipamd does not come up."""


@pytest.mark.faults
def test_install_upgrade_remove_purge(root: Root, packages: dict[str, Path], tmp_path: Path) -> None:
    root.install(*packages.values())
    assert "ipamd:" in root.run("getent", "passwd", "ipamd")
    assert "enabled" in root.run("systemctl", "is-enabled", "ipamd.service", "ipamd.socket")
    assert "enabled" in root.run("systemctl", "is-enabled", "ipamd-agent.service")
    assert "install" in root.run("ipamd-agent", "--help")
    for plugin in ("ipamd-ipam", "ipamd-veth"):
        assert '"1.1.0"' in root.run("env", "CNI_COMMAND=VERSION", f"/usr/lib/cni/{plugin}")
    (root.path / "tmp/open_the_page.py").write_text(OPEN_THE_PAGE)
    make_and_look = f"{CTL} pool create pods --subnet 10.0.0.0/24\npython3 /tmp/open_the_page.py"
    said = root.run("sh", "-c", SERVE.format(commands=make_and_look))
    assert {"page.css", "page.js", "htmx.min.js", "uPlot.iife.min.js"} <= set(said.split("page:")[1].split())
    (root.path / "etc/default/ipamd").write_text("IPAMD_LOG_FORMAT=json\n")

    root.install(*newer(packages, "0.1.1", tmp_path / "newer").values())
    assert root.run("dpkg-query", "-W", "-f", "${Version} ${Status}", "ipamd") == "0.1.1 install ok installed"
    assert (root.path / "etc/default/ipamd").read_text() == "IPAMD_LOG_FORMAT=json\n"
    assert "pods" in root.run("sh", "-c", SERVE.format(commands=f"{CTL} pool list"))

    said = root.run("sh", "-c", CONFIGURE_WITHOUT_DATABASE)
    assert said == "ipamd does not start: see journalctl -u ipamd\n"

    root.run("dpkg", "--remove", *packages)
    assert not root.has("usr/lib/ipamd")
    assert not root.has("usr/lib/cni/ipamd-ipam")
    assert root.has("var/lib/ipamd/ipamd.sqlite")
    assert root.has("etc/default/ipamd")

    root.run("dpkg", "--purge", *packages)
    left = root.run(
        "sh", "-c", "find / -xdev -name '*ipamd*' -newer /tmp/log -not -path '/proc/*' -not -path '/tmp/*'"
    )
    assert left == ""
    assert not root.has("var/lib/ipamd")
    assert not root.has("etc/default/ipamd")


@pytest.mark.release
def test_two_builds_give_the_same_bytes(packages: dict[str, Path], tmp_path: Path) -> None:
    first = {name: file.read_bytes() for name, file in packages.items()}

    second = {name: file.read_bytes() for name, file in built("0.1.0", tmp_path / "again").items()}

    assert set(first) == {"ipamd", "ipamd-agent", "ipamd-common", "ipamd-node"}
    assert first == second
