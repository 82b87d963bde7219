"""What ipamd signed of what it told this node, kept in stateDir: it shows a database that is an older one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import structlog

from node_agent.node import CENSUS_RECEIPT

_LARGEST: Final = 256

log = structlog.get_logger()


class KeptReceipt:
    """The file. A node without it, or one whose disk takes nothing, shows none: it speaks all the same."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / CENSUS_RECEIPT
        self.text = self._read()

    def _read(self) -> str | None:
        try:
            text = self._path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            log.warning("the receipt of the last census cannot be read", error=str(error))
            return None
        return text if 0 < len(text) <= _LARGEST and text.isprintable() and " " not in text else None

    def keep(self, text: str | None) -> None:
        """Keep the newest one, None if ipamd gave none. It need not survive a power cut."""
        if text is None or text == self.text:
            return
        self.text = text
        waiting = self._path.with_name(f".{CENSUS_RECEIPT}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            waiting.write_text(text, encoding="ascii")
            waiting.replace(self._path)
        except OSError as error:
            log.warning("the receipt of a census cannot be kept", error=str(error))
