"""`python -m ipamd.backends.conformance`: pytest on this package, with its options."""

import sys

import pytest

PACKAGE = "ipamd.backends.conformance"

if __name__ == "__main__":
    sys.exit(pytest.main(["-p", f"{PACKAGE}.options", "--pyargs", PACKAGE, *sys.argv[1:]]))
