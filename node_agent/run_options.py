"""The options of `ipamd-agent run`, as the process that reads them hands them to the one that runs."""

from __future__ import annotations

from typing import Final

import msgspec

from hosting.log_format import LogFormat


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says. `addresses` is None if the agent is to carry no pod network."""

    node_json: str
    socket: str
    port: int
    join_token: str | None
    addresses: list[str] | None
    look_every: int
    log_format: LogFormat

    def encode(self) -> bytes:
        """All of it as bytes."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> RunOptions:
        """The options of bytes that `encode` made."""
        return _DECODER.decode(data)


_DECODER: Final = msgspec.json.Decoder(RunOptions)
