"""The image's health check: whether the service in this container says that it is ready.

It knows the service by the same variables, and asks over loopback: whose certificate that is does not matter.
"""

import os
import ssl
import sys
import urllib.error
import urllib.request

SECONDS = 4


def main() -> int:
    """0 where /readyz answers 200; else 1, with the reason on stdout, where `docker inspect` shows it."""
    scheme = "https" if os.environ.get("IPAMD_TLS_CERT") else "http"
    host = os.environ.get("IPAMD_HOST", "127.0.0.1")
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    place = f"[{host}]" if ":" in host else host
    url = f"{scheme}://{place}:{os.environ.get('IPAMD_PORT', '8750')}/readyz"
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=anybody)
    )
    try:
        with opener.open(url, timeout=SECONDS):
            return 0
    except urllib.error.HTTPError as refusal:
        print(refusal.read().decode(errors="replace"))
    except OSError as error:
        print(f"{url}: {error}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
