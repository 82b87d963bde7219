"""The service as users run it: a process with its SQLite file and its sockets in a scratch folder."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, ClassVar

import httpx

from tests.loaded import LoadedProcess
from tests.ports import free_port
from tests.waiting import eventually

EXECUTABLES = Path(sys.executable).parent
START_SECONDS = 60


Process = subprocess.Popen[bytes] | LoadedProcess


def execute(executable: Path, *arguments: str, stdout: IO[bytes]) -> Process:
    """Start an executable of any version, as users do."""
    return subprocess.Popen([executable, *arguments], stdin=subprocess.DEVNULL, stdout=stdout, stderr=stdout)


def end_process(process: Process, *, kill: bool, seconds: float = 60) -> None:
    """End a process by SIGKILL or SIGTERM; raise if it does not end in time, and leave none behind."""
    with contextlib.suppress(ProcessLookupError):
        process.kill() if kill else process.terminate()
    try:
        process.wait(timeout=seconds)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def put_none(path: Path) -> None:
    """Leave it to ipamd to make a database and to migrate it, as it does for users."""


class IpamdProcess:
    """A real `ipamd serve` that can be stopped, killed and started again on the same database."""

    start_today: ClassVar[Callable[..., Process]] = staticmethod(execute)
    """How the version under test is started; the tests load it once."""
    put_database: ClassVar[Callable[..., None]] = staticmethod(put_none)
    """How a database is put into place before the first start; the tests migrate one, and copy it."""

    def __init__(self, folder: Path, socket: Path | None = None, database_url: str | None = None) -> None:
        self.folder = folder
        self.executables = EXECUTABLES  # another version's, from the next start on
        self.database = folder / "ipamd.sqlite"
        self.database_url = database_url or f"sqlite:///{self.database}"
        self.socket = socket or folder / "ipamd.sock"
        self.log = folder / "ipamd.log"
        self.port = free_port()
        self.options: tuple[str, ...] = ()
        self.process: Process | None = None
        self.http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self.socket)), base_url="http://localhost", timeout=30
        )

    @property
    def endpoint(self) -> str:
        """Where plugins in any network namespace reach the service."""
        return f"unix://{self.socket}"

    @property
    def tcp_endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the service and return when it is ready to serve."""
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--uds", str(self.socket)]
        options += ["--database-url", self.database_url, *self.options]
        is_today = self.executables == EXECUTABLES
        start = self.start_today if is_today else execute
        if is_today and self._is_new():
            self.put_database(self.database)
        with self.log.open("ab") as log:
            self.process = start(self.executables / "ipamd", "serve", *options, stdout=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"ipamd did not become ready:\n{self.log.read_text()}")
            time.sleep(0.02)

    def _is_new(self) -> bool:
        """Whether it would make the SQLite file of its own folder, which is not there yet."""
        own = self.folder / "ipamd.sqlite"
        return self.database_url == f"sqlite:///{own}" and not own.exists()

    def _ready(self) -> bool:
        try:
            return self.http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def logged(self, text: str, times: int = 1) -> list[str]:
        """Wait for lines of the log with a text, which come a moment after the answer; those lines."""

        def found() -> list[str]:
            return [line for line in self.log.read_text().splitlines() if text in line]

        eventually(lambda: len(found()) >= times)
        return found()

    def kill(self) -> None:
        """End the service as a crash does (SIGKILL)."""
        self._end(kill=True)

    def stop(self) -> None:
        """End the service as an operator does (SIGTERM)."""
        self._end(kill=False)

    def _end(self, *, kill: bool) -> None:
        process, self.process = self.process, None
        if process is not None:
            end_process(process, kill=kill)

    def create_pool(self, name: str, subnet: str, **fields: Any) -> None:
        """Create a pool; raise with the problem's text where that is refused."""
        answer = self.http.post("/v1/pools", json={"name": name, "subnet": subnet, **fields})
        assert answer.status_code == httpx.codes.CREATED, answer.text

    def empty(self) -> None:
        """Release what is held, and delete pools, reservations and quotas, so that another test may begin."""
        for held in self.allocations():
            assert self.http.delete(f"/v1/allocations/{held['id']}").is_success
        nothing = {"pools": [], "reservations": [], "quotas": [], "prune": True}
        assert self.http.post("/v1/apply", json=nothing).is_success

    def allocations(self, **filters: str) -> list[dict[str, Any]]:
        """All live allocations that match, over all pages."""
        items: list[dict[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            query = filters if not cursor else {**filters, "cursor": cursor}
            answer = self.http.get("/v1/allocations", params=query)
            assert answer.status_code == httpx.codes.OK, answer.text
            page = answer.json()
            items += page["items"]
            cursor = page["next"]
        return items

    def contradictions(self, *, repair: bool = False) -> list[dict[str, Any]]:
        """What the check of everything finds."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            answer = self.http.post("/v1/repair" if repair else "/v1/check", json={"cursor": cursor})
            assert answer.status_code == httpx.codes.OK, answer.text
            portion = answer.json()
            found += portion["items"]
            cursor = portion["next"]
            if cursor is None:
                return found

    def addresses(self, **filters: str) -> set[str]:
        """The addresses that are held now, without prefix length."""
        return {item["address"].split("/")[0] for item in self.allocations(**filters)}


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder whose path is short enough for Unix sockets (107 bytes), and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="ipamd-"))
    try:
        yield folder
    finally:
        forget_last_adds(folder)
        shutil.rmtree(folder)


USUAL_STATE_DIR = Path("/var/lib/ipamd-node")


def forget_last_adds(folder: Path) -> None:
    """Remove what plugins whose stateDir was in this folder kept on this machine, for DELs without `ipam`.

    A plugin that runs as root keeps it in the usual stateDir too, whatever its own is.
    """
    ours = f'"stateDir":"{folder}/'
    for kept in USUAL_STATE_DIR.glob("networks/*.json") if os.geteuid() == 0 else ():
        with contextlib.suppress(FileNotFoundError):  # another run of the tests removes its own
            if ours in kept.read_text():
                kept.unlink()


@contextmanager
def running_service(
    folder: Path | None = None, *options: str, database_url: str | None = None
) -> Iterator[IpamdProcess]:
    """Run a service with what it keeps in a folder, and see that it ends as it should."""
    with ExitStack() as stack:
        service = IpamdProcess(folder or stack.enter_context(scratch_folder()), database_url=database_url)
        service.options = options
        stack.callback(service.http.close)
        stack.callback(service.kill)
        service.start()
        yield service
        service.stop()


@contextmanager
def running_replicas(database_url: str, count: int = 2) -> Iterator[list[IpamdProcess]]:
    """Run several services on one database."""
    with ExitStack() as stack:
        yield [stack.enter_context(running_service(database_url=database_url)) for _ in range(count)]


@contextmanager
def standing_still(service: IpamdProcess) -> Iterator[None]:
    """The service's process does nothing (SIGSTOP) until the block is left; its sockets take what comes."""
    assert service.process is not None
    os.kill(service.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(service.process.pid, signal.SIGCONT)
