"""What a release is made of, built as `make wheels` builds it, and an environment to install it in."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from tests.agent.runs import Ended
from tests.cni.executable import Plugin
from tests.node_executable import ROOT, static_plugin
from tests.service import IpamdProcess

SECONDS: Final = 100
CONFLIST: Final = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "plugins": [{"type": "bridge", "bridge": "cni0", "ipam": {"type": "ipamd-ipam"}}],
}


def build(target: str, out: Path, source: Path = ROOT, **variables: str | Path) -> Path:
    """Build an sdist or a wheel out of a folder; raises with what was said where that fails."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", out],
        cwd=source,
        env={**os.environ, **{name: str(value) for name, value in variables.items()}},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return source / done.stderr.splitlines()[-1]  # it says there what it made


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack an sdist; the folder that is in it."""
    folder.mkdir()
    subprocess.run(["tar", "-xzf", sdist, "-C", folder], check=True, timeout=SECONDS)
    [inside] = folder.iterdir()
    return inside


def described_node() -> Path:
    """Give dist/node/ARCH of this machine with all that a release has beside the executable."""
    static = static_plugin()
    assert static is not None, "run `make node` first"
    subprocess.run([ROOT / "native" / "describe", ROOT / "build" / "node", static.parent.name], check=True)
    return static.parent


@dataclass(frozen=True)
class Environment:
    """A virtual environment, and what is done by what is installed in it and by nothing of this checkout."""

    folder: Path

    @property
    def commands(self) -> Path:
        return self.folder / "bin"

    @classmethod
    def with_own(cls, folder: Path, *wanted: str | Path) -> "Environment":
        """Install with everything that it depends on, as an operator does."""
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=SECONDS)
        made = cls(folder)
        made._pip(folder / "bin" / "python", "install", "--constraint", ROOT / "constraints.txt", *wanted)
        return made

    @classmethod
    def with_ours(cls, folder: Path, *wanted: str | Path) -> "Environment":
        """Install alone; what it depends on is the tests' own, so that this takes no network."""
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=SECONDS)
        made = cls(folder)
        made._pip(sys.executable, "--python", folder, "install", "--no-deps", "--no-index", *wanted)
        # Once it is installed: else pip finds the checkout's own there. Its `.pth` file does not count there.
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        dependencies = folder / "lib" / python / "site-packages" / "dependencies.pth"
        dependencies.write_text(sysconfig.get_path("purelib") + "\n")
        return made

    def _pip(self, python: str | Path, *arguments: str | Path) -> None:
        command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
        subprocess.run(command, check=True, timeout=SECONDS * 3)

    def run(self, command: str, *arguments: str | Path) -> Ended:
        """Run a command of the environment, as if no other were there."""
        done = subprocess.run(
            [self.commands / command, *arguments],
            env={"PATH": f"{self.commands}:/usr/bin:/bin", "LANG": "C.UTF-8"},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        return Ended(done.returncode, done.stdout, done.stderr.strip())

    def give_an_address(self, scratch: Path) -> str:
        """Migrate, serve, make a pool, open the page, ADD and DEL, all by what is installed; the address."""
        service = IpamdProcess(scratch)
        service.executables = self.commands
        migrated = self.run("ipamd", "migrate", "--database-url", service.database_url)
        assert migrated.code == 0, migrated
        service.start()
        try:
            at = ("--endpoint", service.endpoint)
            made = self.run("ipamctl", *at, "pool", "create", "pods", "--subnet", "10.7.0.0/24")
            assert made.code == 0, made
            open_the_page(service)
            plugin = Plugin((str(self.commands / "ipamd-ipam"),), scratch / "node", service.endpoint)
            added = plugin.call("ADD")
            assert added.code == 0, added
            assert plugin.call("DEL").code == 0
            assert service.addresses() == set()
        finally:
            service.stop()
            service.http.close()
        address: str = added.json["ips"][0]["address"]
        return address

    def put_on_a_node(self, scratch: Path) -> Path:
        """Have the agent install the plugin on a node; the node's root."""
        root, conflist = scratch / "root", scratch / "10-pods.conflist"
        root.mkdir()
        conflist.write_text(json.dumps(CONFLIST))
        ended = self.run("ipamd-agent", "install", "--root", root, "--node", "n1", "--conflist", conflist)
        assert ended.code == 0, ended
        return root


def open_the_page(service: IpamdProcess) -> None:
    """See that a page comes with all its files: templates, styles, scripts, those of npm packages too."""
    shown = httpx.get(f"{service.tcp_endpoint}/ui/pools/pods")
    assert shown.status_code == httpx.codes.OK, shown.text
    links = re.findall(r'(?:src|href)="(/ui/static/[^"]+)"', shown.text)
    assert {"page.css", "page.js", "htmx.min.js", "uPlot.iife.min.js"} <= {
        link.rpartition("/")[2].partition("?")[0] for link in links
    }
    for link in links:
        assert httpx.get(f"{service.tcp_endpoint}{link}").status_code == httpx.codes.OK, link
