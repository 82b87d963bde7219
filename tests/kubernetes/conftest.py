"""An empty cluster for each story."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kubernetes.cluster import ROOT, Cluster
from tests.kubernetes.machine import folders_to_hide
from tests.network import image

IMAGES: Final = ROOT / "build" / "kubernetes" / "images.tar"

MakeClaim = Callable[[int], str]


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Nodes that have the images, and no network for pods; the module says how many, of which families."""
    assert IMAGES.is_file(), f"there is no {IMAGES}: make it with scripts/image"
    folder = Path(tempfile.mkdtemp(prefix="ipamd-k-"))
    image.write_image(folder / "busybox.tar")
    nodes, dual_stack = getattr(request.module, "NODES", 2), getattr(request.module, "DUAL_STACK", False)
    cluster = Cluster(folder, [folder / "busybox.tar", IMAGES], nodes=nodes, dual_stack=dual_stack)
    with folders_to_hide():
        try:
            cluster.start()
            cluster.kubectl("create", "namespace", "ipamd")
            yield cluster
        finally:
            cluster.end()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def make_claim(cluster: Cluster) -> MakeClaim:
    """Makes a claim by the user who is to own its volume; the name of the claim."""

    def make(user: int) -> str:
        folder = cluster.folder / "state"
        folder.mkdir()
        os.chown(folder, user, user)
        cluster.kubectl("apply", "-f", "-", given=json.dumps(_claim(folder)))
        return "state"

    return make


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
