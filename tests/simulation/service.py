"""ipamd without its sockets: engine and routes over a database that outlives it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from contextvars import copy_context
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from starlette.responses import Response as Answer
from starlette.types import Message

from ipamd.api.access import Access
from ipamd.api.call_measures import CallMeasures
from ipamd.api.cni import Calls
from ipamd.api.problem_handlers import install as install_problems
from ipamd.api.routers import leases
from ipamd.backends.registry import open_backend
from ipamd.backends.sql.sqlite.writer import Writer
from ipamd.engine.clock import Clock
from ipamd.engine.engine import Engine
from node_agent.relay.upstream import Response
from tests.simulation.time import Life, Time

T = TypeVar("T")


class SameThread(Writer):
    """SQLite's writer, without a thread of its own: so each history is the same each time."""

    def __init__(self) -> None:
        pass

    async def run(self, call: Callable[[], T]) -> T:
        return call()

    async def end(self) -> None:
        pass


class Service:
    """A service that can be stopped, killed, and started on an older database."""

    def __init__(self, passing: Time, database: Path) -> None:
        self._time = passing
        self._database = database
        self._life: Life | None = None
        self._backups: list[Path] = []
        self.engine: Engine | None = None

    async def start(self) -> None:
        """Serve, unless it does already."""
        if self._life is not None:
            return
        life = self._life = Life(copy_context())
        self.engine = await life.start(self._open())
        self._calls = Calls(self.engine, Access(self.engine), CallMeasures())
        self._routes = _routes(self.engine)

    async def _open(self) -> Engine:
        clock = Clock(lambda: self._time.wall_ns() // 1000, lambda: self._time.now // 1000)
        self._backend = await open_backend(f"sqlite:///{self._database}")
        return await Engine.open(self._backend, clock=clock)

    async def stop(self, *, kill: bool = False) -> None:
        """End: with all calls under way answered, or in the midst of them."""
        life, engine = self._life, self.engine
        if life is None or engine is None:
            return
        self._life = self.engine = None
        if kill:
            await life.kill()
            await self._backend.close()
        else:
            await engine.close()
            await life.kill()

    def back_up(self) -> None:
        """Keep the database as it is now."""
        backup = self._database.with_name(f"backup-{len(self._backups)}")
        with closing(sqlite3.connect(self._database)) as source, closing(sqlite3.connect(backup)) as target:
            source.backup(target)
        self._backups.append(backup)

    async def put_back(self) -> bool:
        """Start on the last backup. Whether there is one."""
        if not self._backups:
            return False
        await self.stop(kill=True)
        for ending in ("-wal", "-shm"):
            self._database.with_name(self._database.name + ending).unlink(missing_ok=True)
        shutil.copyfile(self._backups.pop(), self._database)
        await self.start()
        return True

    async def serve(self, path: str, body: bytes) -> Response:
        """Answer a request. Raises ConnectionError if nobody listens."""
        if self._life is None:
            raise ConnectionRefusedError("nobody listens")
        return await asyncio.shield(self._life.start(self._serve(path, body)))

    async def _serve(self, path: str, body: bytes) -> Response:
        route = self._calls.route_of(path.encode())
        if route is None:
            return await _answer(self._routes, path, body)
        reply = await route.answer(body, None)
        return Response(reply.status, {}, reply.body)

    async def ask(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        """What the engine says to an admin."""
        assert self.engine is not None
        return await work(self.engine)


def _routes(engine: Engine) -> FastAPI:
    """The routes of leases alone: the whole admin API takes longer to make than a history to play."""
    application = FastAPI()
    install_problems(application)

    async def ask(request: Request) -> Answer:
        return await leases.ask(request, engine, None)

    application.add_route("/v1/leases", ask, methods=["POST"])
    return application


async def _answer(application: FastAPI, path: str, body: bytes) -> Response:
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": None,
        "server": None,
    }
    await application(scope, receive, send)
    [status] = [message["status"] for message in said if message["type"] == "http.response.start"]
    return Response(status, {}, b"".join(message.get("body", b"") for message in said[1:]))
