"""The chart as people use it: helm as a process, and what it says or makes."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.node_executable import ROOT

CHART = ROOT / "charts" / "ipamd"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
TOOLS = ROOT / "build" / "charts"
HELMS = (TOOLS / "helm3" / "helm", TOOLS / "helm4" / "helm")

OPERATOR = ("--api-versions", "monitoring.coreos.com/v1")
LEAST: Mapping[str, Any] = {
    "database": {"existingSecret": "ipamd-database"},
    "service": {"clusterIP": "10.96.0.77"},
}
"""The least that the chart asks for."""

Manifest = dict[str, Any]


def helm(
    helm: Path, *arguments: str, values: Mapping[str, Any] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run helm with values on stdin, in an environment without settings of anybody's."""
    given = ["-f", "-"] if values is not None else []
    return subprocess.run(
        [helm, *arguments, *given],
        env={"HOME": str(TOOLS), "PATH": "/usr/bin:/bin"},
        input=json.dumps(values) if values is not None else "",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def template(*arguments: str, values: Mapping[str, Any] | None = None, by: Path = HELMS[-1]) -> str:
    """What the chart makes, as text."""
    done = helm(by, "template", "ipamd", str(CHART), "--namespace", "net", *arguments, values=values)
    assert done.returncode == 0, done.stderr
    return done.stdout


def manifests(*arguments: str, values: Mapping[str, Any] | None = None) -> dict[tuple[str, str], Manifest]:
    """What the chart makes, by kind and name."""
    made = yaml.safe_load_all(template(*arguments, values=values))
    return {(one["kind"], one["metadata"]["name"]): one for one in made if one is not None}


def refusal(values: Mapping[str, Any], *arguments: str) -> str:
    """What helm says where it makes nothing of values."""
    done = helm(HELMS[-1], "template", "ipamd", str(CHART), *arguments, values=values)
    assert done.returncode != 0, "it was not refused"
    return done.stderr


_BETWEEN = "\n---\n"
_VALIDATE = """
import functools, json, runpy
json.loads = functools.cache(json.loads)
runpy.run_module("kubernetes_validate", run_name="__main__")
"""
"""The validator, which would read all schemas of a version anew for each manifest."""


def validate(text: str, version: str, file: Path) -> subprocess.CompletedProcess[str]:
    """Hold manifests against the schemas of a version of Kubernetes, unknown fields included."""
    file.write_text(_BETWEEN.join(dict.fromkeys(text.split(_BETWEEN))))  # examples have much in common
    schemas = ["old", "new"] if version < "1.25" else ["new"]
    return subprocess.run(
        [
            *(sys.executable, "-c", _VALIDATE),
            *("-k", version, "--strict", "--no-warn", "--quiet", file),
        ],
        env={"PYTHONPATH": ":".join(str(TOOLS / schema) for schema in schemas)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def pods(made: dict[tuple[str, str], Manifest]) -> dict[tuple[str, str], Manifest]:
    """The specification of each pod that comes of manifests, by its owner."""
    found = {}
    for key, one in made.items():
        if one["kind"] == "Pod":
            found[key] = one["spec"]
        elif "template" in one.get("spec", {}):
            found[key] = one["spec"]["template"]["spec"]
    return found


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Values with others over them."""
    both = dict(base)
    for key, value in change.items():
        old = both.get(key)
        both[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both
