"""REST for `ipamctl`: one connection to one ipamd. Every error is a `CommandFailed`."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from ipamd.ctl.endpoint import Access, Endpoint
from ipamd.ctl.failure import CommandFailed, ExitCode

SECONDS: Final = 30
CONNECT_SECONDS: Final = 5
PAGE: Final = 500
"""Rows of a page; ipamd may give fewer."""

Query = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """A body that was read as JSON (None if it is empty), and its `ETag`."""

    body: Any
    etag: str | None


@dataclass(frozen=True, slots=True)
class Listing:
    """The rows of a list, of all its pages. `next` is None unless a limit cut the list."""

    items: list[dict[str, Any]]
    next: str | None


class Client:
    """One ipamd. Used as a context manager."""

    def __init__(self, access: Access) -> None:
        endpoint = access.endpoint
        self.endpoint = endpoint
        headers = {"Accept": "application/json"}
        if access.token is not None:
            headers["Authorization"] = f"Bearer {access.token}"
        # With a transport of its own httpx ignores the proxies of the environment.
        transport = httpx.HTTPTransport(uds=endpoint.socket, verify=_authorities(endpoint))
        self._http = httpx.Client(base_url=endpoint.base_url, transport=transport, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, query: Query | None = None) -> RestAnswer:
        return self._ask("GET", path, query=query)

    def find(self, path: str) -> RestAnswer | None:
        """What is at this path, None if ipamd says that nothing is."""
        response = self._send("GET", path)
        if response.status_code == httpx.codes.NOT_FOUND and _problem(response) is not None:
            return None
        return self._read(response)

    def post(
        self, path: str, body: Any, headers: Mapping[str, str] | None = None, wait: int | None = None
    ) -> RestAnswer:
        """Ask; for room for an address ipamd may wait so many seconds."""
        preferred = {} if wait is None else {"Prefer": f"wait={wait}"}
        return self._ask("POST", path, body=body, headers={**(headers or {}), **preferred}, wait=wait or 0)

    def put(self, path: str, body: Any, if_match: str | None = None) -> RestAnswer:
        return self._ask("PUT", path, body=body, headers=_precondition(if_match))

    def patch(
        self, path: str, body: Any, if_match: str | None = None, query: Query | None = None
    ) -> RestAnswer:
        return self._ask("PATCH", path, query=query, body=body, headers=_precondition(if_match))

    def delete(self, path: str, query: Query | None = None, if_match: str | None = None) -> RestAnswer:
        return self._ask("DELETE", path, query=query, headers=_precondition(if_match))

    def pages(self, path: str, query: Query | None = None, limit: int | None = None) -> Listing:
        """All rows, or the first `limit`, over as many pages as it takes."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            size = PAGE if limit is None else min(PAGE, limit - len(items))
            more, cursor = self._page(path, {**(query or {}), "limit": size, "cursor": cursor})
            items += more
            if cursor is None or (limit is not None and len(items) >= limit):
                return Listing(items, cursor)

    def each(self, path: str) -> Iterator[dict[str, Any]]:
        """All rows, of which only a page is in memory."""
        cursor: str | None = None
        while True:
            items, cursor = self._page(path, {"limit": PAGE, "cursor": cursor})
            yield from items
            if cursor is None:
                return

    def _page(self, path: str, query: Query) -> tuple[list[dict[str, Any]], str | None]:
        page = self.get(path, query).body
        if not isinstance(page, dict) or not isinstance(page.get("items"), list):
            raise self._foreign("a list without items")
        return page["items"], page.get("next")

    def probe(self, path: str) -> str | None:
        """None if the answer is yes, else the reason. Raises CommandFailed if ipamd does not answer."""
        response = self._send("GET", path)
        return None if response.is_success else self._refusal(response).sentence

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        wait: int = 0,
    ) -> RestAnswer:
        return self._read(self._send(method, path, query=query, body=body, headers=headers, wait=wait))

    def _read(self, response: httpx.Response) -> RestAnswer:
        if not response.is_success:
            raise self._refusal(response)
        if not response.content:
            return RestAnswer(None, response.headers.get("ETag"))
        try:
            return RestAnswer(response.json(), response.headers.get("ETag"))
        except ValueError:
            raise self._foreign("something that is not JSON") from None

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        wait: int = 0,
    ) -> httpx.Response:
        for key, value in (headers or {}).items():
            if not (value.isascii() and value.isprintable()):
                raise CommandFailed(
                    f"{key} is {value!r}: write printable ASCII characters only", ExitCode.USAGE
                )
        given = {key: value for key, value in (query or {}).items() if value is not None}
        content = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        try:
            return self._http.request(
                method,
                path,
                params=given,
                content=content,
                headers={**kind, **(headers or {})},
                timeout=httpx.Timeout(SECONDS + wait, connect=CONNECT_SECONDS),
            )
        except httpx.ConnectError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise self._untrusted(error) from None
            raise self._unreachable(_reason(error)) from None
        except httpx.TimeoutException:
            raise self._unreachable("no answer in time") from None
        except httpx.InvalidURL as error:
            raise CommandFailed(
                f"the endpoint or a name makes no valid URL: {error}", ExitCode.USAGE
            ) from None
        except httpx.TransportError as error:
            raise self._unreachable(f"the connection broke: {_reason(error)}") from None

    def _unreachable(self, why: str) -> CommandFailed:
        return CommandFailed(
            f"ipamd does not answer at {self.endpoint.text} ({why}): start it with `ipamd serve`, or name "
            "another address with --endpoint or IPAMD_ENDPOINT",
            ExitCode.UNREACHABLE,
        )

    def _untrusted(self, error: httpx.ConnectError) -> CommandFailed:
        why = re.sub(r"^.*certificate verify failed: | \(_ssl.*$", "", str(error))
        return CommandFailed(
            f"the certificate of {self.endpoint.text} is not trusted: {why}. If this machine does not know "
            "the authority that signed it, name a file with its certificate in SSL_CERT_FILE",
            ExitCode.UNREACHABLE,
        )

    def _foreign(self, what: str) -> CommandFailed:
        return CommandFailed(
            f"{self.endpoint.text} answers with {what}: is this ipamd?", ExitCode.UNREACHABLE
        )

    def _refusal(self, response: httpx.Response) -> CommandFailed:
        problem = _problem(response)
        if problem is None:
            return self._foreign(f"status {response.status_code} and no reason")
        sentence = problem.get("detail") or problem.get("title") or f"status {response.status_code}"
        unavailable = response.status_code == httpx.codes.SERVICE_UNAVAILABLE
        return CommandFailed(
            str(sentence), ExitCode.UNREACHABLE if unavailable else ExitCode.REFUSED, problem
        )


def segment(text: str) -> str:
    """A name as exactly one segment of a path."""
    if not text:
        raise CommandFailed("a name is empty: give one", ExitCode.USAGE)
    # RFC 3986, section 5.2.4: the segments `.` and `..` would vanish, with their neighbours.
    return quote(text, safe="") if text.strip(".") else text.replace(".", "%2E")


def _authorities(endpoint: Endpoint) -> ssl.SSLContext:
    """The authorities to trust: this machine's, or those of SSL_CERT_FILE and SSL_CERT_DIR."""
    if endpoint.base_url.startswith("https:"):
        context = ssl.create_default_context()
        # Python 3.13 refuses authorities whose certificate lacks what RFC 5280 demands. The plugin trusts
        # them, and one certificate of ipamd must do for all its clients.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context
    # Without TLS no authority is needed, and reading the machine's takes longer than a request.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _reason(error: httpx.TransportError) -> str:
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__


def _precondition(if_match: str | None) -> dict[str, str]:
    if if_match is None:
        return {}
    # People type the bare revision; an entity tag stands in quotes (RFC 9110, section 8.8.3).
    return {"If-Match": if_match if if_match.startswith(('"', "*")) else f'"{if_match}"'}


def _problem(response: httpx.Response) -> dict[str, Any] | None:
    """The problem document of an answer (RFC 9457), None if it has none."""
    if not response.headers.get("Content-Type", "").startswith("application/problem+json"):
        return None
    try:
        document = response.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
