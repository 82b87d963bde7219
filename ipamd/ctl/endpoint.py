"""Where ipamd listens, and the token to send there: from flags, then the environment, then the profile."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ipamd.ctl.failure import CommandFailed, ExitCode
from ipamd.models.nearest import unknown

DEFAULT_ENDPOINT: Final = "http://127.0.0.1:8750"
ENDPOINT_VARIABLE: Final = "IPAMD_ENDPOINT"
TOKEN_FILE_VARIABLE: Final = "IPAMD_TOKEN_FILE"  # noqa: S105 - the name of a variable, not a token
_HOST_NAME: Final = re.compile(r"(?=.{1,253}\Z)([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?")
_PLAIN: Final = re.compile(r"[!-~]+")
PROFILE_KEYS: Final = ("endpoint", "token_file")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of ipamd. `text` is what the user wrote; `socket` is the path of a Unix socket, or None."""

    text: str
    base_url: str
    socket: str | None
    confidential: bool
    """Whether nobody can read what is sent: over a Unix socket, loopback or TLS."""

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read `http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:///PATH`; raises CommandFailed."""
        if text.startswith("unix://"):
            path = text.removeprefix("unix://")
            if not path.startswith("/") or "\0" in path:
                raise _unusable(text)
            return cls(text, "http://localhost", path, confidential=True)
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _unusable(text) from None
        if parts.scheme not in ("http", "https") or not host or port == 0 or parts.username is not None:
            raise _unusable(text)
        if parts.query or parts.fragment or not _is_host(host) or not _PLAIN.fullmatch(text):
            raise _unusable(text)
        return cls(text, text.rstrip("/"), None, confidential=parts.scheme == "https" or _is_loopback(host))


@dataclass(frozen=True, slots=True)
class Access:
    """An endpoint and the bearer token to send there, if any."""

    endpoint: Endpoint
    token: str | None

    @classmethod
    def resolve(cls, endpoint: str | None, token_file: Path | None, environment: Mapping[str, str]) -> Access:
        """Decide from flags, environment and profile. Raises CommandFailed if one of them is unusable.

        The profile's token is sent to the profile's endpoint only: another endpoint must not get a token that
        is meant for somebody else.
        """
        profile = _Profile.read(environment)
        home = profile.endpoint or DEFAULT_ENDPOINT
        chosen = endpoint or environment.get(ENDPOINT_VARIABLE) or home
        if token_file is None and (named := environment.get(TOKEN_FILE_VARIABLE)):
            token_file = Path(named)
        if token_file is None and chosen == home:
            token_file = profile.token_file
        parsed = Endpoint.parse(chosen)
        if token_file is None:
            return cls(parsed, None)
        if not parsed.confidential:
            raise CommandFailed(
                f"a token is not sent over plain HTTP to {chosen}: use https:// or unix://", ExitCode.USAGE
            )
        return cls(parsed, _read_token(token_file))


@dataclass(frozen=True, slots=True)
class _Profile:
    endpoint: str | None = None
    token_file: Path | None = None

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> _Profile:
        path = profile_path(environment)
        try:
            with path.open("rb") as file:
                table = tomllib.load(file)
        except (FileNotFoundError, NotADirectoryError):
            return cls()
        except OSError as error:
            raise CommandFailed(f"cannot read {path}: {error.strerror}", ExitCode.USAGE) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise CommandFailed(f"{path} is not TOML: {error}", ExitCode.USAGE) from None
        endpoint, token_file = _texts(path, table)
        return cls(endpoint, path.parent / Path(token_file).expanduser() if token_file else None)


def profile_path(environment: Mapping[str, str]) -> Path:
    """`ipamd/profile.toml` under XDG_CONFIG_HOME, or under ~/.config."""
    named = environment.get("XDG_CONFIG_HOME", "")
    # The XDG specification has relative paths ignored.
    folder = Path(named) if named.startswith("/") else Path("~/.config").expanduser()
    return folder / "ipamd" / "profile.toml"


def _texts(path: Path, table: Mapping[str, Any]) -> list[str | None]:
    for key, value in table.items():
        if key not in PROFILE_KEYS:
            raise CommandFailed(f"{path}: {unknown('key', key, PROFILE_KEYS)}", ExitCode.USAGE)
        if not isinstance(value, str):
            raise CommandFailed(f"{path}: {key} must be a string", ExitCode.USAGE)
    return [table.get(key) for key in PROFILE_KEYS]


def _read_token(path: Path) -> str:
    try:
        token = path.read_text("ascii").strip()
    except OSError as error:
        raise CommandFailed(f"cannot read the token file {path}: {error.strerror}", ExitCode.USAGE) from None
    except UnicodeDecodeError:
        token = ""
    if not token or not token.isprintable() or " " in token:
        raise CommandFailed(f"{path} does not hold a token: write one word on one line", ExitCode.USAGE)
    return token


def _is_host(text: str) -> bool:
    """Whether a text is an address, or a host name (RFC 1123, section 2.1, and `_`)."""
    if ":" not in text:
        return _HOST_NAME.fullmatch(text) is not None
    try:
        return ipaddress.IPv6Address(text).scope_id is None
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unusable(text: str) -> CommandFailed:
    return CommandFailed(
        f"{text!r} is not an endpoint: write http://HOST:PORT, https://HOST:PORT or unix:///PATH",
        ExitCode.USAGE,
    )
