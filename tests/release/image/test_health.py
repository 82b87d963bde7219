"""The image's health check tells a service that is ready from one that is not."""

import subprocess
import sys
from pathlib import Path

from tests.node_executable import ROOT
from tests.ports import free_port
from tests.service import IpamdProcess

CHECK = ROOT / "scripts" / "healthy.py"


def healthy(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", CHECK],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_service_that_is_ready_is_healthy_wherever_it_listens(ipamd_process: IpamdProcess) -> None:
    port = str(ipamd_process.port)

    for host in ("127.0.0.1", "0.0.0.0"):
        assert healthy(IPAMD_HOST=host, IPAMD_PORT=port, http_proxy="http://127.0.0.1:1").returncode == 0


def test_what_is_served_by_tls_is_asked_by_tls(ipamd_process: IpamdProcess, scratch: Path) -> None:
    certificate, key = scratch / "tls.crt", scratch / "tls.key"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=elsewhere",
    ]
    subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    ipamd_process.stop()
    ipamd_process.options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    ipamd_process.start()
    port = str(ipamd_process.port)

    assert healthy(IPAMD_PORT=port, IPAMD_TLS_CERT=str(certificate)).returncode == 0
    assert healthy(IPAMD_PORT=port).returncode == 1


def test_a_service_that_is_not_there_is_not_healthy_and_the_reason_is_said() -> None:
    done = healthy(IPAMD_PORT=str(free_port()))

    assert (done.returncode, "Connection refused" in done.stdout) == (1, True)
