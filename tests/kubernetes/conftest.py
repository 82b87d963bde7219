"""One cluster for all tests, and ipamd in it as its pod network."""

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.charts.chart import CHART
from tests.kubernetes.cluster import ROOT, Cluster
from tests.kubernetes.machine import OWN
from tests.network import image

IMAGE = Path(os.environ.get("IPAMD_IMAGE_ARCHIVE", ROOT / "build" / "image.tar"))
USER = 8750


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """An empty cluster that has the images."""
    assert IMAGE.is_file(), (
        f"there is no {IMAGE}: docker build -t ipamd:test . && docker save -o {IMAGE} ipamd:test"
    )
    folder = Path(tempfile.mkdtemp(prefix="ipamd-k-"))
    folders = {part for path in map(Path, OWN) for part in (path, *path.parents)}
    made = [part for part in sorted(folders) if not part.exists()]
    for part in made:
        part.mkdir()
    image.write_image(folder / "busybox.tar")
    cluster = Cluster(folder, [folder / "busybox.tar", IMAGE])
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()
        shutil.rmtree(folder, ignore_errors=True)
        for part in reversed(made):
            part.rmdir()


@pytest.fixture(scope="session")
def values(cluster: Cluster) -> dict[str, Any]:
    """The chart's: a pod network, with the database in a file on the first node."""
    name = json.loads(_manifest(IMAGE))[0]["RepoTags"][0]
    repository, _, tag = name.rpartition(":")
    return {
        "image": {"repository": f"docker.io/library/{repository}", "tag": tag, "pullPolicy": "Never"},
        "database": {"kind": "sqlite", "storage": {"existingClaim": "state"}},
        "server": {
            "hostNetwork": True,
            "logFormat": "text",
            "nodeSelector": {"kubernetes.io/hostname": cluster.control.name},
        },
        "service": {"clusterIP": "10.98.0.77"},
        "nodes": {"conflist": {"enabled": True, "ipMasq": False, "pools": [["pods-v4"]]}},
        "pools": [
            {"name": "pods-v4", "subnet": "10.64.0.0/16", "cooldown": 1, "routes": [{"dst": "0.0.0.0/0"}]}
        ],
    }


def _manifest(archive: Path) -> str:
    with tarfile.open(archive) as opened:
        found = opened.extractfile("manifest.json")
        assert found is not None
        return found.read().decode()


@pytest.fixture(scope="session")
def release(cluster: Cluster, values: dict[str, Any]) -> Cluster:
    """The same cluster, with the chart installed as a user does it."""
    state = cluster.folder / "state"
    state.mkdir()
    os.chown(state, USER, USER)
    cluster.kubectl("create", "namespace", "ipamd")
    cluster.kubectl("apply", "-f", "-", given=json.dumps(_claim(state)))
    install(cluster, values)
    return cluster


def _claim(folder: Path) -> dict[str, Any]:
    size = {"storage": "1Gi"}
    modes = ["ReadWriteOnce"]
    volume = {
        "capacity": size,
        "accessModes": modes,
        "hostPath": {"path": str(folder)},
        "storageClassName": "own",
    }
    claim = {"accessModes": modes, "resources": {"requests": size}, "storageClassName": "own"}
    items = [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "state"}, "spec": volume},
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "state", "namespace": "ipamd"},
            "spec": claim,
        },
    ]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def install(cluster: Cluster, values: dict[str, Any]) -> str:
    """Install or upgrade the release and wait until all of it is ready."""
    told = (
        "upgrade",
        "--install",
        "ipamd",
        str(CHART),
        "-n",
        "ipamd",
        "--wait",
        "--timeout",
        "200s",
        "-f",
        "-",
    )
    return cluster.helm(*told, given=json.dumps(values))
