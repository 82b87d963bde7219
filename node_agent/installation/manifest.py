"""What was installed on a node, so that exactly that can be removed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from node_agent.failure import CommandFailed
from node_agent.installation.installed_file import InstalledFile, Kind, digest_of
from node_agent.installation.root import Root

PATH: Final = "/var/lib/ipamd-node/installed.json"
UNDER_WAY: Final = "/var/lib/ipamd-node/installing.json"
"""What is about to be written, so that the next run can remove it if this one is killed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An installed file and the digests that it may have: two during an upgrade."""

    path: str
    kind: Kind
    digests: tuple[str, ...]

    def is_ours(self, found: str) -> bool:
        """Whether a file with this digest is the installed one, or one that the agent wrote in its place."""
        return found in self.digests or (self.kind is Kind.CREDENTIAL and found != "")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of an installation by path, in the order of their installation, and the folders created."""

    entries: dict[str, Entry] = field(default_factory=dict)
    folders: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Manifest | None:
        """The manifest, None if nothing was installed. Raises CommandFailed if it is damaged."""
        try:
            document = json.loads(path.read_bytes())
            entries = [_entry(item) for item in document["files"]]
            folders = tuple(str(folder) for folder in document["folders"])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise CommandFailed(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, KeyError, TypeError):
            raise CommandFailed(
                f"{path} is not as ipamd-agent wrote it: restore it, or remove it and ipamd's files by hand"
            ) from None
        return cls({entry.path: entry for entry in entries}, folders)

    def owns(self, path: str, found: Path) -> bool:
        """Whether we installed the file at a path."""
        entry = self.entries.get(path)
        digest = digest_of(found)
        return digest is None or (entry is not None and digest != "")

    def present(self, root: Root) -> Manifest:
        """The manifest without files that are gone."""
        there = {path: entry for path, entry in self.entries.items() if digest_of(root / path) is not None}
        return Manifest(there, self.folders)

    def also(self, files: Iterable[InstalledFile], folders: Iterable[str], root: Root) -> Manifest:
        """The manifest while these files replace the old ones, and after that: either may be found."""
        entries = dict(self.entries)
        for file in files:
            before = entries.pop(file.path, None)
            found = digest_of(root / file.path)
            old = [found] if before is not None and found in before.digests and found != file.digest else []
            entries[file.path] = Entry(file.path, file.kind, (file.digest, *old))
        return Manifest(entries, tuple(dict.fromkeys([*self.folders, *folders])))

    def remove_folders(self, root: Root) -> None:
        """Remove the folders that were created, unless somebody has put something into them."""
        for folder in sorted(self.folders, key=len, reverse=True):
            with contextlib.suppress(OSError):
                (root / folder).rmdir()

    def encode(self) -> bytes:
        files = [
            {"path": entry.path, "kind": entry.kind.value, "sha256": list(entry.digests)}
            for entry in self.entries.values()
        ]
        return json.dumps({"files": files, "folders": list(self.folders)}, indent=1).encode() + b"\n"


def _entry(item: Any) -> Entry:
    path = item["path"]
    if not isinstance(path, str) or not path.startswith("/"):
        raise ValueError(path)
    return Entry(path, Kind(item["kind"]), tuple(str(digest) for digest in item["sha256"]))
