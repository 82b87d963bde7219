"""Pods that answer who was asked and by whom; and who asks them: pods, nodes, machines beside the cluster."""

import json
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.kubernetes.cluster import KUBECTL, Cluster
from tests.kubernetes.machine import Machine
from tests.kubernetes.release import REPOSITORY
from tests.kubernetes.workload import Pod, run_deployment

PORT: Final = 8080
PROTOCOLS: Final = ("tcp", "udp")

_ANSWERING: Final = """
import os, socket, socketserver, threading
def answer(address):
    return f"{os.environ['NAME']} {address.removeprefix('::ffff:')}\\n".encode()
class Stream(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(answer(self.client_address[0]))
class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(answer(self.client_address[0]), self.client_address)
class Streams(socketserver.ThreadingTCPServer):
    address_family, daemon_threads, allow_reuse_address = socket.AF_INET6, True, True
class Datagrams(socketserver.UDPServer):
    address_family = socket.AF_INET6
threading.Thread(target=Datagrams(("::", PORT), Datagram).serve_forever).start()
Streams(("::", PORT), Stream).serve_forever()
""".replace("PORT", str(PORT))

_ASKING: Final = """
import json, socket, sys
kinds = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
def ask(protocol, host, port):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kinds[protocol]) as asking:
        asking.settimeout(4)
        try:
            asking.connect((host, port))
            asking.sendall(b"?\\n")
            return (asking.recv(1000).decode(errors="replace").split() + ["", ""])[:2]
        except OSError as error:
            return [f"{error!r} of {protocol} {host} {port}", ""]
print(json.dumps([ask(*one) for one in json.loads(sys.argv[1])]))
"""

_KEEPING_ON: Final = """
import json, select, socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
stream, datagrams = socket.socket(family, socket.SOCK_STREAM), socket.socket(family, socket.SOCK_DGRAM)
for one in stream, datagrams:
    one.settimeout(60)
    one.connect((sys.argv[1], int(sys.argv[2])))
datagrams.settimeout(3)
asked = lost = longest = 0
print("talking", flush=True)
while not select.select([sys.stdin], [], [], 0.05)[0]:
    began = time.monotonic()
    stream.sendall(b"?\\n")
    assert stream.recv(1000), "the connection was closed"
    longest = max(longest, time.monotonic() - began)
    asked += 1
    try:
        datagrams.send(b"?\\n")
        datagrams.recv(1000)
    except TimeoutError:
        lost += 1
print(json.dumps({"asked": asked, "lost": lost, "longest": longest}))
"""

_ASKING_ON: Final = """
import json, select, socket, sys
asking = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(0.3)
asking.connect((sys.argv[1], int(sys.argv[2])))
answered, lost = [], 0
print("talking", flush=True)
while not select.select([sys.stdin], [], [], 0.05)[0]:
    try:
        asking.send(b"?\\n")
        name = asking.recv(1000).decode().split()[0]
    except OSError:
        lost += 1
        continue
    if answered[-1:] != [name]:
        answered.append(name)
print(json.dumps({"answered": answered, "lost": lost}))
"""


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked, by which protocol."""

    protocol: str
    host: str
    port: int = PORT


@dataclass(frozen=True, slots=True)
class Answer:
    """Which pod has answered, or what went wrong; and the address that has asked, as the pod saw it."""

    name: str
    asker: str


@dataclass(slots=True)
class Talk:
    """What came of a connection that was used all the while, and of datagrams beside it."""

    asked: int = 0
    lost: int = 0
    longest: float = 0


@dataclass(slots=True)
class Answered:
    """Which pods have answered at one address, one after another, and how many datagrams nobody did."""

    answered: list[str] = field(default_factory=list)
    lost: int = 0


def run_answering(cluster: Cluster, name: str, replicas: int, ports: Sequence[int] = ()) -> list[Pod]:
    """Have pods that answer on PORT, as many on each node, and on ports of their nodes if such are given."""
    return run_deployment(cluster, name, replicas, answering(ports))


def answering(ports: Sequence[int] = ()) -> dict[str, Any]:
    """A container that answers on PORT, and on ports of its node if such are given."""
    return {
        "name": "answering",
        "image": f"{REPOSITORY}:test",
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", _ANSWERING],
        "env": [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [
            {"containerPort": PORT, "hostPort": port, "protocol": protocol.upper()}
            for port in ports
            for protocol in PROTOCOLS
        ],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }


def answer_on(machine: Machine) -> None:
    """Have a machine answer on PORT too, by its name."""
    machine.start("/usr/bin/env", f"NAME={machine.name}", "python3", "-c", _ANSWERING)


def addresses(pod: Pod) -> list[str]:
    """Of both families, the first family's first."""
    return [one["ip"] for one in pod["status"]["podIPs"]]


def ask(cluster: Cluster, asker: Pod | Machine, targets: Iterable[Target]) -> list[Answer]:
    """What each of the targets answers."""
    asked = json.dumps([(one.protocol, one.host, one.port) for one in targets])
    command = ("python3", "-c", _ASKING, asked)
    if isinstance(asker, Machine):
        told = asker.run(*command, timeout=300)
    else:
        told = cluster.kubectl("exec", asker["metadata"]["name"], "--", *command, seconds=300)
    return [Answer(name, address) for name, address in json.loads(told)]


@contextmanager
def keep_talking(cluster: Cluster, pod: Pod, host: str) -> Iterator[Talk]:
    """Use one connection from a pod to a host all the while, and send datagrams; then tell of it."""
    talk = Talk()
    with _running(cluster, pod, _KEEPING_ON, host) as found:
        yield talk
    talk.asked, talk.lost, talk.longest = found["asked"], found["lost"], found["longest"]


@contextmanager
def keep_asking(cluster: Cluster, pod: Pod, host: str) -> Iterator[Answered]:
    """Send datagrams from a pod to an address all the while; then tell who has answered."""
    told = Answered()
    with _running(cluster, pod, _ASKING_ON, host) as found:
        yield told
    told.answered, told.lost = found["answered"], found["lost"]


@contextmanager
def _running(cluster: Cluster, pod: Pod, script: str, host: str) -> Iterator[dict[str, Any]]:
    """Run a script in a pod that talks with a host until it is told to end; what it then prints."""
    command = ["exec", "-i", pod["metadata"]["name"], "--", "python3", "-c", script, host, str(PORT)]
    found: dict[str, Any] = {}
    talking = subprocess.Popen(
        [*cluster.control.prefix(), str(KUBECTL), *command],
        env=cluster.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert talking.stdout is not None
        assert talking.stdout.readline() == "talking\n"
        yield found
        told, complaint = talking.communicate("\n", timeout=120)
        assert talking.returncode == 0, complaint
        found.update(json.loads(told))
    finally:
        talking.kill()
        talking.wait()


def service(name: str, app: str, **spec: Any) -> dict[str, Any]:
    """A Service of both families for pods that answer, on port 80."""
    ports = [
        {"name": one, "protocol": one.upper(), "port": 80, "targetPort": PORT, **spec.pop(one, {})}
        for one in PROTOCOLS
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": app}, "ports": ports, "ipFamilyPolicy": "RequireDualStack", **spec},
    }
