"""The time that running processes have had of the processor."""

from __future__ import annotations

from pathlib import Path


def seconds(process: int) -> float:
    """Give what all threads of a process have had so far."""
    threads = Path(f"/proc/{process}/task").iterdir()
    return sum(int((each / "schedstat").read_text().split()[0]) for each in threads) / 1e9
