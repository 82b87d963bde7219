"""The bearer token and the TLS files. They are read only when a request goes out."""

from __future__ import annotations

from cni_plugin import platform
from cni_plugin.failure import INVALID_CONFIGURATION, IO_FAILURE, Failure, reason
from cni_plugin.files import Held, Unfit, read_regular

KEYS = ("tokenFile", "caFile", "certFile", "keyFile")
_TOKEN_START = "ipamd_"  # noqa: S105 - how every token begins, not one of them
_TOKEN_LENGTH = len(_TOKEN_START) + 43  # 256 bits in base64url
_BASE64URL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_PEM_BYTES = 1 << 20
_GROUP_AND_OTHERS = 0o077


class Credentials:
    """The files that prove the plugin to ipamd, and ipamd to the plugin. An empty name means none."""

    def __init__(self, paths: dict[str, str]) -> None:
        self.paths = paths
        self._token: str | None = None
        self._tls: tuple[bytes, bytes, bytes] | None = None

    def token(self) -> str:
        """Give the bearer token, "" for none.

        Failure 7 if others could have written the file, 5 if it is missing.
        """
        path = self.paths["tokenFile"]
        if self._token is None:
            self._token = _token("tokenFile", path) if path else ""
        return self._token

    def tls(self) -> tuple[bytes, bytes, bytes]:
        """Give authority, certificate and key as PEM, empty for none; Failures as token()."""
        if self._tls is None:
            ca, certificate, key = [_pem(name, self.paths[name]) for name in KEYS[1:]]
            self._tls = (ca, certificate, key)
        return self._tls


def is_token(text: str) -> bool:
    """Tell whether a text has the form of a token."""
    end = text[len(_TOKEN_START) :].encode()
    return len(text) == _TOKEN_LENGTH and text.startswith(_TOKEN_START) and all(c in _BASE64URL for c in end)


def _token(name: str, path: str) -> str:
    held = _read(name, path, _TOKEN_LENGTH + 2)
    if held.owner not in (0, platform.effective_user()):
        raise _refused(name, path, "does not belong to root: change its owner")
    if held.mode & _GROUP_AND_OTHERS:
        raise _refused(name, path, "can be read by others than its owner: set its mode to 0600")
    try:
        text = held.data.decode()
    except ValueError:
        text = ""
    if text.endswith("\n"):
        text = text[:-1]
    if not is_token(text):
        raise _refused(name, path, "holds no token: write one line, `ipamd_` and 43 letters")
    return text


def _pem(name: str, path: str) -> bytes:
    return _read(name, path, _PEM_BYTES).data if path else b""


def _read(name: str, path: str, limit: int) -> Held:
    try:
        return read_regular(path, limit)
    except Unfit as unfit:
        raise _refused(name, path, f"is {unfit}") from unfit
    except OSError as error:
        raise Failure(IO_FAILURE, f"{name} {path} cannot be read: {reason(error)}") from error


def _refused(name: str, path: str, why: str) -> Failure:
    return Failure(INVALID_CONFIGURATION, f"{name} {path} {why}")
