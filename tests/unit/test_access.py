"""Who may ask the admin API for what: whatever it is, nodes and joiners are denied but for what is theirs."""

import string

from hypothesis import given
from hypothesis import strategies as st

from ipamd.api.access import JOIN, may
from ipamd.models.node import NodeKey
from ipamd.models.token import Principal, Role

ADMIN = Principal(name="a", role=Role.ADMIN)
READER = Principal(name="r", role=Role.READER)
JOINER = Principal(name="j", role=Role.JOIN, cluster="east")
NODE = Principal(name="n", role=Role.NODE, cluster="east", node=NodeKey("east", "n1"))

METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "X"])
SEGMENTS = st.sampled_from(
    [
        "v1",
        "pools",
        "allocations",
        "nodes",
        "tokens",
        "history",
        "join",
        "east",
        "n1",
        "n2",
        "..",
        "",
        "metrics",
    ]
)
PATHS = st.lists(SEGMENTS, max_size=5).map(lambda parts: "/" + "/".join(parts)) | st.text(max_size=30)
PAIRS = st.tuples(
    st.sampled_from(["cluster", "node", "namespace", "limit"]),
    st.sampled_from(["east", "n1", "n2", "", "%00"]),
)
QUERIES = st.lists(PAIRS, max_size=4).map(lambda pairs: "&".join("=".join(pair) for pair in pairs).encode())
ANY_QUERY = QUERIES | st.text(string.printable, max_size=30).map(str.encode)


@given(METHODS, PATHS, ANY_QUERY)
def test_a_join_token_is_good_for_one_request(method: str, path: str, query: bytes) -> None:
    assert may(JOINER, method, path, query) == ((method, path) == ("POST", JOIN))


@given(METHODS, PATHS, ANY_QUERY)
def test_a_reader_only_reads_and_never_tokens(method: str, path: str, query: bytes) -> None:
    if may(READER, method, path, query):
        assert (method in ("GET", "HEAD") and not path.startswith("/v1/tokens")) or path in (
            "/v1/explain",
            "/v1/check",
        )


@given(METHODS, PATHS, QUERIES)
def test_a_node_reads_its_own_and_renews(method: str, path: str, query: bytes) -> None:
    allowed = may(NODE, method, path, query)

    own_list = path == "/v1/allocations" and {b"cluster=east", b"node=n1"} <= set(query.split(b"&"))
    named = [pair for pair in query.split(b"&") if pair.startswith((b"cluster=", b"node="))]
    reads_own = path == "/v1/nodes/east/n1" or (own_list and len(named) == 2)
    renews = (method, path) == ("POST", JOIN)
    assert allowed == (renews or (method in ("GET", "HEAD") and reads_own))


@given(METHODS, PATHS, ANY_QUERY)
def test_an_admin_may_ask_for_everything(method: str, path: str, query: bytes) -> None:
    assert may(ADMIN, method, path, query)
