"""Main plugins called as a runtime calls them: environment, configuration on stdin, JSON on stdout."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.network.namespace import Host

Document = dict[str, Any]


class PluginRefused(Exception):
    """The plugin answered with a CNI error object."""

    def __init__(self, answer: Document) -> None:
        super().__init__(f"code {answer.get('code')}: {answer.get('msg')} {answer.get('details', '')}")
        self.code: int = answer["code"]


@dataclass(frozen=True)
class Attachment:
    """One interface of one container, as the runtime knows it; the namespace may be gone already."""

    container_id: str
    netns: str
    ifname: str = "eth0"


@dataclass(frozen=True)
class Runtime:
    """The part of a container runtime that calls plugins on one node."""

    node: Host
    plugins: Path

    def add(self, config: Document, attachment: Attachment, args: str = "") -> Document:
        result = self._call("ADD", config, attachment, args)
        assert result is not None, "ADD printed no result"
        return result

    def check(self, config: Document, attachment: Attachment, result: Document, args: str = "") -> None:
        self._call("CHECK", {**config, "prevResult": result}, attachment, args)

    def delete(self, config: Document, attachment: Attachment, args: str = "") -> None:
        self._call("DEL", config, attachment, args)

    def status(self, config: Document) -> None:
        self._call("STATUS", config, Attachment("", "", ""))

    def _call(self, verb: str, config: Document, attachment: Attachment, args: str = "") -> Document | None:
        environment = {
            "PATH": os.environ["PATH"],
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": attachment.container_id,
            "CNI_NETNS": attachment.netns,
            "CNI_IFNAME": attachment.ifname,
            "CNI_ARGS": args,
            "CNI_PATH": str(self.plugins),
        }
        done = subprocess.run(
            [*self.node.prefix(), str(self.plugins / config["type"])],
            input=json.dumps(config),
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        answer: Document | None = json.loads(done.stdout) if done.stdout.strip() else None
        if done.returncode == 0:
            return answer
        if answer is None or "code" not in answer:
            raise AssertionError(f"{verb} ended with {done.returncode}: {done.stdout}{done.stderr}")
        raise PluginRefused(answer)


def supported_versions(plugin: Path) -> list[str]:
    """The specification versions that a plugin says it speaks."""
    done = subprocess.run(
        [plugin],
        env={"CNI_COMMAND": "VERSION"},
        input="{}",
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    versions: list[str] = json.loads(done.stdout)["supportedVersions"]
    return versions


def addresses(result: Document) -> set[str]:
    """The addresses of a result in any version, with prefix length."""
    if "ips" in result:
        return {entry["address"] for entry in result["ips"]}
    return {result[family]["ip"] for family in ("ip4", "ip6") if family in result}
