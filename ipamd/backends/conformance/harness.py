"""Where the suite gets databases from, and what a backend says of itself."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from ipamd.backends.interface import Backend
from ipamd.backends.registry import open_backend

FOLDER: Final = "{folder}"


class Harness:
    """One kind of database. A subclass says how an empty one is made, and changes what follows if needed.

    `lasting`: what was committed is there when the database is opened again, also by another process. Where
    it is not so (a database in memory), durability is no promise, and its tests do not apply.
    `shared`: a database may be open several times at once. Where it is not so, a second opening is refused.
    """

    lasting: bool = True
    shared: bool = False

    def database(self) -> AbstractContextManager[str]:
        """The URL of an empty database that nobody else uses; inside the context it is there."""
        raise NotImplementedError

    async def open(self, url: str) -> Backend:
        """Open a database. Those that last are found by their scheme, for other processes open them too."""
        return await open_backend(url)


class InFolder(Harness):
    """Databases that are files: in `template`, `{folder}` stands for an empty folder (an absolute path)."""

    def __init__(self, template: str) -> None:
        if FOLDER not in template:
            raise ValueError(
                f"{template!r} has no {FOLDER}, and would be one database for all tests: write "
                f"scheme://{FOLDER}/name, or name a harness with --backend-harness"
            )
        self._template = template

    @contextmanager
    def database(self) -> Iterator[str]:
        """A folder of its own for each database."""
        with tempfile.TemporaryDirectory(prefix="ipamd-") as folder:
            yield self._template.replace(FOLDER, folder)


def named(place: str) -> Harness:
    """The harness that `MODULE:OBJECT` names; raises ValueError with a sentence."""
    module, colon, name = place.partition(":")
    if not colon:
        raise ValueError(f"{place!r} does not name a harness: write MODULE:OBJECT")
    found = getattr(importlib.import_module(module), name, None)
    if not isinstance(found, Harness):
        raise ValueError(f"{place!r} is no Harness of ipamd.backends.conformance")  # noqa: TRY004 - for people
    return found
