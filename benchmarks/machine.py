"""The machine and the versions that figures belong to."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.postgres import BINARIES

LIBRARIES = ("uvicorn", "uvloop", "httptools", "msgspec", "SQLAlchemy", "asyncpg")


def describe() -> dict[str, str]:
    """Names and what stands behind them, as a table shows them."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 30} GiB",
        "system": f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "PostgreSQL": ", ".join(sorted(folder.name for folder in BINARIES.iterdir())),
        "libraries": ", ".join(f"{name} {version(name)}" for name in LIBRARIES),
        "CNI plugins": _debian_version("containernetworking-plugins"),
        "ipamd": f"{version('ipamd')} at {_commit()}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _debian_version(package: str) -> str:
    asked = ["dpkg-query", "-W", "-f", "${Version}", package]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout


def _commit() -> str:
    asked = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
