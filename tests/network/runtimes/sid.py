"""Newer runtimes: packages of Debian sid, unpacked beside the system and never installed.

They run on Debian 12 because they need nothing of the system but its C library.
"""

import os
import shutil
from pathlib import Path

from tests.network.namespace import run

PACKAGES = ("containerd", "containernetworking-plugins")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
APT_CONFIGURATION = """
Dir::Etc::sourcelist "{apt}/sources.list";
Dir::Etc::sourceparts "{apt}/empty";
Dir::Etc::preferencesparts "{apt}/empty";
Dir::State::lists "{apt}/lists";
Dir::State::status "/dev/null";
Dir::Cache "{apt}/cache";
"""


def unpack(root: Path) -> None:
    """Download the packages by the machine's own mirror and unpack them to `root`, once."""
    if root.exists():
        return
    apt = root.with_name("sid-apt")
    draft = root.with_name("sid-draft")
    for folder in (apt / "empty", apt / "lists" / "partial", apt / "cache" / "archives" / "partial", draft):
        folder.mkdir(parents=True, exist_ok=True)
    (apt / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_mirror()} sid main\n")
    (apt / "apt.conf").write_text(APT_CONFIGURATION.format(apt=apt))
    environment = {**os.environ, "APT_CONFIG": str(apt / "apt.conf")}
    run("apt-get", "-q", "update", env=environment, timeout=300)
    run("sh", "-c", f"cd {apt} && apt-get -q download {' '.join(PACKAGES)}", env=environment, timeout=300)
    for package in apt.glob("*.deb"):
        run("dpkg", "-x", str(package), str(draft))
    shutil.rmtree(apt)
    draft.rename(root)


def _mirror() -> str:
    """Where the machine gets Debian from."""
    sources = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)").splitlines()
    return next(uri for uri, _, origin in (line.partition(" ") for line in sources) if origin == "Debian")
