"""A container image made of Debian's static busybox, without a registry."""

import gzip
import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path
from typing import Any

BUSYBOX = Path("/bin/busybox")
REFERENCE = "localhost/busybox:1"
APPLETS = ("sh", "sleep", "ip", "ping", "ping6", "cat", "true", "httpd", "nslookup")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
OCI = "application/vnd.oci.image"


def write_image(archive: Path) -> None:
    """Write an OCI archive with one layer, named REFERENCE, whose command sleeps."""
    layer = _layer()
    architecture = ARCHITECTURES[platform.machine()]
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    blobs = _Blobs()
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": blobs.put(f"{OCI}.config.v1+json", _json(config)),
        "layers": [blobs.put(f"{OCI}.layer.v1.tar+gzip", gzip.compress(layer, mtime=0))],
    }
    entry = blobs.put(f"{OCI}.manifest.v1+json", _json(manifest))
    entry["platform"] = {"architecture": architecture, "os": "linux"}
    entry["annotations"] = {
        "io.containerd.image.name": REFERENCE,
        "org.opencontainers.image.ref.name": REFERENCE,
    }
    index = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": [entry]}
    with tarfile.open(archive, "w") as image:
        _add(image, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(image, "index.json", _json(index))
        for digest, content in blobs.content.items():
            _add(image, f"blobs/sha256/{digest.removeprefix('sha256:')}", content)


class _Blobs:
    """The content of an archive by digest."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def put(self, media_type: str, content: bytes) -> dict[str, Any]:
        """Store a blob and return its descriptor."""
        digest = _digest(content)
        self.content[digest] = content
        return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _layer() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as layer:
        for folder in ("bin", "dev", "etc", "proc", "run", "sys", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            layer.addfile(entry)
        _add(layer, "bin/busybox", BUSYBOX.read_bytes(), mode=0o755)
        for applet in APPLETS:
            entry = tarfile.TarInfo(f"bin/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            layer.addfile(entry)
        _add(layer, "etc/passwd", b"root:x:0:0::/:/bin/sh\n")
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _json(document: object) -> bytes:
    return json.dumps(document).encode()
