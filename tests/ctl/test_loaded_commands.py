"""What is loaded for the tests is all that a run needs: whoever imports the rest takes five times as long."""

from functools import partial
from pathlib import Path

import pytest

from tests import loaded
from tests.service import EXECUTABLES, IpamdProcess, running_service

FEW = 100
_NOTE = """
class Noting:
    def find_spec(self, name, path=None, target=None):
        with open({file!r}, "a") as imported:
            print(name, file=imported)
sys.meta_path.insert(0, Noting())
"""


@pytest.fixture
def note(scratch: Path) -> str:
    """Has a run note what it imports."""
    return _NOTE.format(file=str(scratch / "imported"))


def imported(scratch: Path) -> list[str]:
    file = scratch / "imported"
    return file.read_text().splitlines() if file.exists() else []


def test_a_service_imports_little(scratch: Path, note: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IpamdProcess, "start_today", staticmethod(partial(loaded.start, first=note)))

    with running_service(scratch) as service:
        service.create_pool("pods", "10.0.0.0/24")

    assert len(imported(scratch)) < FEW, imported(scratch)


@pytest.mark.parametrize(
    "command",
    [
        ("ipamd", "migrate", "--database-url", "sqlite:///{scratch}/ipamd.sqlite"),
        ("ipamctl", "--endpoint", "unix://{scratch}/nobody.sock", "pool", "list"),
        ("ipamd-agent", "status", "--socket", "{scratch}/nobody.sock"),
    ],
    ids=lambda command: command[0],
)
def test_a_command_imports_little(scratch: Path, note: str, command: tuple[str, ...]) -> None:
    name, *arguments = (part.format(scratch=scratch) for part in command)

    done = loaded.run(EXECUTABLES / name, *arguments, first=note)

    assert "Traceback" not in done.stderr
    assert len(imported(scratch)) < FEW, imported(scratch)
