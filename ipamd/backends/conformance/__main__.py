"""`python -m ipamd.backends.conformance`: pytest on this package, with its options."""

import sys

import pytest

PACKAGE = "ipamd.backends.conformance"

OPTIONS = [
    "-p",
    f"{PACKAGE}.options",
    "-o",
    "asyncio_default_fixture_loop_scope=function",
    "--pyargs",
    PACKAGE,
]
"""One event loop a test, which pytest-asyncio wants to be told."""

if __name__ == "__main__":
    sys.exit(pytest.main([*OPTIONS, *sys.argv[1:]]))
