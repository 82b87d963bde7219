"""How this node gets its token, and keeps it.

The agent makes a secret and keeps it in stateDir. The SHA-256 of the secret is the node's proof. With a join
token and the proof the agent gets the node's token, and with this token and the proof a new one. The last
written token counts, and every file is either old or new: if the agent is killed in between, it asks again.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import time
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import structlog

from cni_plugin.failure import Failure
from ipam_plugin.credentials import Credentials, is_token
from node_agent.facts import Facts, rfc3339
from node_agent.failure import CommandFailed, ExitCode
from node_agent.node import RECORD, SECRET, Node
from node_agent.relay.upstream import Refused, Silent, Upstream
from node_agent.staging import Staging

_JOIN: Final = "/v1/nodes/join"
_ASK_SECONDS: Final = 10.0
_RENEW_BEFORE: Final = 30 * 86400.0
"""A token expires after 90 days. So a month of failures is noticed in time."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0
_LOOK_AGAIN: Final = 3600.0

log = structlog.get_logger()


class Membership:
    """The token of the node. `token` is what calls send, "" while there is none."""

    def __init__(self, node: Node, join_token: Path | None, upstream: Upstream, facts: Facts) -> None:
        self._node = node
        self._join_token = join_token
        self._upstream = upstream
        self._facts = facts
        self._wake = facts.woken_on_return()
        self._is_doubted = False
        self.token = ""

    @property
    def is_wanted(self) -> bool:
        """Whether this node needs a token. Without a join token it may be for an ipamd without tokens."""
        return self._join_token is not None

    async def begin(self) -> None:
        """Take the existing token, or join. Raises CommandFailed if ipamd refuses this node.

        If ipamd does not answer, this returns, and keep() goes on asking.
        """
        self.token = self._stored()
        self._facts.joined = bool(self.token)
        self._facts.token_expires = self._expires()
        if self.token or self._join_token is None:
            return
        secret = self._node.state_dir / SECRET
        had_secret = secret.exists()
        try:
            await self._join(self._join_token_text())
        except Silent:
            return
        except Refused as refused:
            if not had_secret:  # it proves nothing to anybody
                secret.unlink(missing_ok=True)
            raise CommandFailed(f"node {self._node.name} cannot join: {refused}") from None

    async def keep(self) -> None:
        """Join if that has not happened yet, and renew the token before it expires, until cancelled."""
        pause = _FIRST_PAUSE
        while True:
            due = self._due()
            if due > 0:
                await self._sleep(due)
                continue
            try:
                await self._renew()
                pause = _FIRST_PAUSE
                continue
            except Silent:
                pass
            except (Refused, CommandFailed) as refused:
                self._facts.fail("the token was not renewed", str(refused))
            await self._sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - or all nodes come at once
            pause = min(2 * pause, _LONGEST_PAUSE)

    def was_refused(self) -> None:
        """Note that ipamd did not know the token: it was revoked, or renewed by a lost answer."""
        if not self._is_doubted:  # once: how often ipamd is asked must not depend on how many pods there are
            self._is_doubted = True
            self._wake.set()

    def _due(self) -> float:
        """Seconds until the next request for a token."""
        if self._is_doubted:
            return 0.0
        if not self.token:
            return 0.0 if self.is_wanted else _LOOK_AGAIN
        expires = self._facts.token_expires
        if expires is None:
            return 0.0
        return min(_LOOK_AGAIN, expires - _RENEW_BEFORE - time.time())

    async def _sleep(self, seconds: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _renew(self) -> None:
        """Ask with the token, or with the join token if ipamd does not know the token.

        Raises as _join() does.
        """
        refused = Refused(
            "there is neither a token nor a join token: write one into " + str(self._node.token)
        )
        for shown in dict.fromkeys([self._stored(), self.token, self._join_token_text()]):
            if not shown:
                continue
            try:
                await self._join(shown)
            except Refused as why:
                refused = why
            else:
                return
        raise refused

    def _join_token_text(self) -> str:
        return _token_in(self._join_token) if self._join_token is not None else ""

    async def _join(self, shown: str) -> None:
        """Get a token and keep it. Raises Silent, Refused, and CommandFailed if it cannot be written."""
        body = json.dumps({"node": self._node.name, "proof": self._proof()}).encode()
        headers = {"Authorization": f"Bearer {shown}", "Content-Type": "application/json"}
        answer = await self._upstream.ask("POST", _JOIN, headers, body, _ASK_SECONDS)
        document = _object(answer.body)
        token, cluster = document.get("token"), document.get("cluster")
        if answer.status >= 500:
            self._facts.fail("ipamd cannot join nodes now", f"status {answer.status}")
            raise Silent(f"status {answer.status}", doubtful=False)
        if answer.status != 201 or not isinstance(token, str) or not is_token(token):
            raise Refused(str(document.get("detail") or f"status {answer.status} and no reason"))
        if cluster != self._node.cluster:
            raise Refused(
                f"the join token is for cluster {cluster}, but node.json says {self._node.cluster}: "
                "get one of this cluster, or correct node.json"
            )
        expires = document.get("expires")
        self.token = token
        self._is_doubted = False
        self._facts.joined = True
        self._write(self._node.token, f"{token}\n".encode())
        self._record(token, expires if isinstance(expires, str) else None)
        self._facts.token_expires = self._expires()
        log.info("token", outcome="received", node=self._node.name, expires=expires)

    def _proof(self) -> str:
        path = self._node.state_dir / SECRET
        try:
            secret = path.read_bytes()
        except FileNotFoundError:
            secret = f"{secrets.token_urlsafe(32)}\n".encode()
            self._write(path, secret)
        except OSError as error:
            raise CommandFailed(f"{path} cannot be read: {error.strerror}") from None
        return sha256(secret).hexdigest()

    def _stored(self) -> str:
        path = self._node.token
        if not path.exists():
            return ""
        try:
            return Credentials({"tokenFile": str(path)}).token()
        except Failure as failure:
            raise CommandFailed(failure.msg, ExitCode.USAGE) from None

    def _expires(self) -> float | None:
        """When the stored token expires.

        None if that is unknown, as for a token that somebody copied here.
        """
        if not self.token:
            return None
        try:
            record = _object((self._node.state_dir / RECORD).read_bytes())
        except OSError:
            return None
        if record.get("token_sha256") != sha256(self.token.encode()).hexdigest():
            return None
        expires = record.get("expires")
        try:
            return datetime.fromisoformat(expires).timestamp() if isinstance(expires, str) else None
        except ValueError:
            return None

    def _record(self, token: str, expires: str | None) -> None:
        record = {
            "token_sha256": sha256(token.encode()).hexdigest(),
            "expires": expires,
            "written": rfc3339(time.time()),
        }
        self._write(self._node.state_dir / RECORD, json.dumps(record).encode() + b"\n")

    def _write(self, path: Path, data: bytes) -> None:
        staging = Staging()
        try:
            staging.make_folder(path.parent)
            staging.write(path, data, 0o600)
            staging.commit(path)
        except BaseException:
            staging.drop()
            raise


def _token_in(path: Path) -> str:
    try:
        return Credentials({"tokenFile": str(path)}).token()
    except Failure as failure:
        raise CommandFailed(
            failure.msg.replace("tokenFile", "the join token in", 1), ExitCode.USAGE
        ) from None


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
