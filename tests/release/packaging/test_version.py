"""The version stands in `cni_plugin/__init__.py`; whatever cannot ask there says the same."""

import json
import re
import subprocess
from importlib.metadata import version

import yaml

from cni_plugin import VERSION
from tests.node_executable import ROOT, plugins
from tests.release.packaging.distribution import described_node


def test_everything_that_is_built_out_of_the_checkout_has_it() -> None:
    said = subprocess.run([ROOT / "scripts" / "version"], check=True, capture_output=True, text=True)

    assert said.stdout == f"{VERSION}\n"
    assert version("ipamd") == VERSION


def test_the_plugins_say_it() -> None:
    for plugin in plugins().values():
        about = subprocess.run([plugin], env={}, check=True, capture_output=True, text=True)

        assert about.stderr.startswith(f"ipamd-ipam {VERSION}: ")


def test_the_bill_of_materials_says_it() -> None:
    bill = json.loads((described_node() / "ipamd-ipam.cdx.json").read_text())

    assert bill["metadata"]["component"]["version"] == VERSION


def test_the_chart_has_it_and_brings_the_image_of_it() -> None:
    chart = yaml.safe_load((ROOT / "charts" / "ipamd" / "Chart.yaml").read_text())

    assert (chart["version"], chart["appVersion"]) == (VERSION, VERSION)


def test_the_image_is_labelled_with_it() -> None:
    assert f"\nARG VERSION={VERSION}\n" in (ROOT / "Dockerfile").read_text()


def test_the_changelog_begins_with_it() -> None:
    sections = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert sections[0] == VERSION
