"""A root with nothing in it but the node executable and what the kernel gives."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

_CHROOT: Final = "/usr/sbin/chroot"


class EmptyRoot:
    """The folder that the executable, or the emulator that it needs here, sees as its root."""

    def __init__(self, folder: Path, executable: Path, emulator: Path | None = None) -> None:
        self.folder = folder
        (folder / "proc").mkdir(parents=True)
        self._command = []
        for file in (emulator, executable):
            if file is not None:
                shutil.copy(file, folder / file.name)
                self._command.append(f"/{file.name}")

    def call(self, verb: str, endpoint: str, **ipam: Any) -> "subprocess.CompletedProcess[bytes]":
        """Run the executable with the folder as its root, /proc mounted for the call alone."""
        config = {
            "cniVersion": "1.0.0",
            "name": "pods",
            "ipam": {"type": "ipamd-ipam", "endpoint": endpoint, "stateDir": "/state", "node": "n", **ipam},
        }
        environment = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": "c1",
            "CNI_NETNS": "/gone",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/",
        }
        script = 'mount -t proc none "$0/proc" && exec chroot "$0" "$@"'
        command = ["unshare", "--mount", "sh", "-c", script, str(self.folder), *self._command]
        path = {"PATH": os.environ["PATH"] + ":" + str(Path(_CHROOT).parent)}
        return subprocess.run(
            command,
            input=json.dumps(config).encode(),
            env=path | environment,
            capture_output=True,
            timeout=120,
        )
