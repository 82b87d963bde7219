"""A response is the same however its bytes are cut, and nothing that comes breaks the reading."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cni_plugin.response import Malformed, Response

BODIES = st.binary(max_size=60)
PIECES = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n", b"0\r\n"),
        *(b"\r\n", b"\n", b"abc", b":", b"-1"),
    ]
)


def read(data: bytes, cuts: list[int]) -> tuple[bool, int, bytes]:
    """Feed the bytes in pieces, then the end; give whether it was complete, status and body."""
    response = Response()
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    for start, end in pairwise(edges):
        if response.feed(data[start:end]):
            return True, response.status, response.body
    return response.end(), response.status, response.body


@given(st.integers(200, 599), BODIES, st.lists(st.integers(0, 150)))
def test_a_body_of_a_length_is_read_however_it_is_cut(status: int, body: bytes, cuts: list[int]) -> None:
    data = b"HTTP/1.1 %d X\r\nA: b\r\ncontent-LENGTH:  %d \r\n\r\n%s" % (status, len(body), body)

    assert read(data, cuts) == (True, status, b"" if status in (204, 304) else body)


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=5), st.lists(st.integers(0, 250)), st.booleans())
def test_chunks_are_read_however_they_are_cut(chunks: list[bytes], cuts: list[int], trailer: bool) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
    data += b"".join(b"%X\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    data += b"0\r\n" + (b"T: 1\r\n" if trailer else b"") + b"\r\n"

    assert read(data, cuts) == (True, 200, b"".join(chunks))
    assert not any(read(data[:length], cuts)[0] for length in range(len(data)))


@given(BODIES, st.lists(st.integers(0, 100)))
def test_without_a_length_the_connections_end_is_the_bodys(body: bytes, cuts: list[int]) -> None:
    assert read(b"HTTP/1.0 200 OK\r\n\r\n" + body, cuts) == (True, 200, body)


@given(st.binary(max_size=80) | st.lists(PIECES, max_size=8).map(b"".join), st.lists(st.integers(0, 80)))
def test_any_bytes_are_a_response_or_are_not(data: bytes, cuts: list[int]) -> None:
    def judged(edges: list[int]) -> object:
        try:
            return read(data, edges)
        except Malformed:
            return Malformed

    assert judged(cuts) == judged([])
