"""ipamd without its sockets: engine and routes over a database that outlives it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
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
from ipamd.engine.clock import Clock
from ipamd.engine.engine import Engine
from node_agent.relay.upstream import Response
from tests.simulation.database import Database
from tests.simulation.time import Life, Time

T = TypeVar("T")


class Service:
    """A service that can be stopped, killed, and started on an older database."""

    def __init__(self, passing: Time, database: Database) -> None:
        self._time = passing
        self._database = database
        self._life: Life | None = None
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
        with self._database.at_work():
            self._backend = await open_backend(self._database.url)
        return await Engine.open(self._backend, clock=clock)

    async def stop(self, *, kill: bool = False) -> None:
        """End: with all calls under way answered, or in the midst of them."""
        life, engine = self._life, self.engine
        if life is None or engine is None:
            return
        self._life = self.engine = None
        if kill:
            await life.kill()
            with self._database.at_work():
                await self._backend.close()
        else:
            await engine.close()
            await life.kill()

    def back_up(self) -> None:
        """Keep the database as it is now."""
        self._database.back_up()

    async def put_back(self) -> bool:
        """Start on the last backup. Whether there is one."""
        await self.stop(kill=True)
        is_back = self._database.put_back()
        await self.start()
        return is_back

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
