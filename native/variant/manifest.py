"""What is frozen into the executable: the plugins without what only CPython runs, and `__future__`."""

import os
from pathlib import Path

SOURCE = Path(os.environ["IPAMD_SOURCE"])
CPYTHON_ONLY = {"__main__.py", "cpython.py", "shapes.py"}

for name in ("cni_plugin", "ipam_plugin", "netlink", "veth_plugin"):
    folder = SOURCE / name
    modules = sorted(path for path in folder.rglob("*.py") if path.name not in CPYTHON_ONLY)
    # MicroPython's makemanifest gives both functions.
    package(name, files=[str(path.relative_to(folder)) for path in modules], base_path=str(SOURCE))  # noqa: F821
module("__future__.py", base_path=str(SOURCE / "native" / "python"))  # noqa: F821
