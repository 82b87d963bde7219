"""`ipamd-agent run`: joining, the plugins' socket, the spool; a real ipamd with tokens and TLS behind it."""

import contextlib
import json
import signal
import socket
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from tests.agent.process import NODE, AgentProcess
from tests.api.access.conftest import Caller, token_file
from tests.cni.authority import Authority
from tests.cni.peer import dribble, response, silence, tcp_peer
from tests.service import IpamdProcess
from tests.tls_service import ADMIN
from tests.waiting import eventually


def held(admin: Caller) -> list[str]:
    return [item["container_id"] for item in admin.get("/v1/allocations").json()["items"]]


def test_the_plugin_needs_no_credentials_behind_an_agent_that_has_joined(
    lasting: AgentProcess, admin: Caller, scratch: Path
) -> None:
    plugin = lasting.plugin(scratch / "without-credentials")

    added = plugin.call("ADD")
    between = [(item["node"], item["container_id"]) for item in admin.get("/v1/allocations").json()["items"]]
    checked = plugin.call("CHECK", {**plugin.config(), "prevResult": added.json})
    status = plugin.call("STATUS", {**plugin.config(status="capacity"), "cniVersion": "1.1.0"})
    deleted = plugin.call("DEL")

    assert (added.code, checked.code, status.code, deleted.code) == (0, 0, 0, 0), added
    assert between == [(lasting.node, "c1")]
    assert held(admin) == []
    assert (lasting.state / "token").stat().st_mode & 0o7777 == 0o600
    assert (lasting.state / "secret").stat().st_mode & 0o7777 == 0o600


def test_one_connection_serves_call_after_call(
    lasting: AgentProcess, lasting_ipamd: IpamdProcess, admin: Caller
) -> None:
    plugin = lasting.plugin()
    assert plugin.call("ADD").code == 0
    seen = connections_to(lasting_ipamd.port, lasting)

    for _ in range(20):
        assert plugin.call("ADD").code == 0
        seen |= connections_to(lasting_ipamd.port, lasting)

    # ipamd ends what was idle for seconds, which a busy machine makes of a call now and then.
    assert 0 < len(seen) < 5


def connections_to(port: int, agent: AgentProcess) -> set[str]:
    """The local ends of the agent's connections to a port of this machine."""
    assert agent.process is not None
    sockets = set()
    for path in Path(f"/proc/{agent.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            sockets.add(str(path.readlink()))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[2].endswith(f":{port:04X}") and f"socket:[{row[9]}]" in sockets}


def test_errors_of_ipamd_come_through_as_they_are(lasting: AgentProcess, admin: Caller) -> None:
    plugin = lasting.plugin()

    unknown = plugin.call("ADD", plugin.config(pools=["nowhere"]))
    another = plugin.call("ADD", NODE_NAME="node-b")

    assert unknown.error["code"] == 7
    assert another.error["code"] == 105
    assert "node-b" in another.error["msg"]
    assert held(admin) == []


def test_a_collection_of_many_attachments_fits_through(lasting: AgentProcess, admin: Caller) -> None:
    plugin = lasting.plugin()
    assert plugin.call("ADD").code == 0
    many = [{"containerID": f"{number:064x}", "ifname": "eth0"} for number in range(20_000)]

    collected = plugin.call(
        "GC", {**plugin.config(timeout=60), "cniVersion": "1.1.0", "cni.dev/valid-attachments": many}
    )

    assert collected.code == 0, collected
    assert held(admin) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/pools"), ("POST", "/v1/tokens"), ("POST", "/v1/nodes/join"), ("GET", "/v1/cni/add")],
)
def test_the_socket_passes_nothing_on_but_the_plugins_calls(
    lasting: AgentProcess, method: str, path: str
) -> None:
    assert lasting.ask(method, path).status_code == 404


def test_a_wrong_join_token_ends_the_agent_with_one_sentence(idle: AgentProcess) -> None:
    idle.join_with("ipamd_" + "W" * 43)

    ended = idle.refused()

    assert ended.code == 1
    assert ended.complaint.splitlines()[-1].startswith(
        "ipamd-agent: node node-a cannot join: this token is unknown"
    )
    assert not idle.socket.exists()
    assert not (idle.state / "token").exists()
    assert not (idle.state / "secret").exists()


def test_a_name_that_another_machine_has_joined_with_is_refused(
    idle: AgentProcess, admin: Caller, lasting_ipamd: IpamdProcess
) -> None:
    joiner = Caller(lasting_ipamd, admin.token_for("join", cluster="default")[1])
    proof = sha256(b"another machine's secret").hexdigest()
    assert joiner.post("/v1/nodes/join", {"node": NODE, "proof": proof}).status_code == 201

    ended = idle.refused()

    assert ended.code == 1
    assert f"ipamctl node forget {NODE} --cluster default" in ended.complaint
    assert not (idle.state / "token").exists()


def test_a_join_token_of_another_cluster_is_refused(idle: AgentProcess, admin: Caller) -> None:
    idle.join_with(admin.token_for("join", cluster="west")[1])

    ended = idle.refused()

    assert ended.code == 1
    assert "for cluster west, but node.json says default" in ended.complaint
    admin.ask("DELETE", f"/v1/nodes/west/{NODE}")


def test_a_token_given_by_hand_is_renewed_in_place_and_then_left_alone(
    idle: AgentProcess, admin: Caller
) -> None:
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    number, text = admin.token_for("node", cluster="default", node=NODE, expires=soon)
    idle.state.mkdir()
    token_file(idle.state, text, "token")
    idle.options = ()

    idle.start()
    eventually(lambda: idle.token() != text)
    eventually(lambda: (idle.state / "agent.json").exists())
    renewed = idle.token()
    idle.stop()
    idle.start()
    added = idle.plugin().call("ADD")

    assert added.code == 0, added
    assert idle.token() == renewed
    [entry] = [item for item in admin.get("/v1/tokens").json()["items"] if item["node"] == NODE]
    assert entry["id"] == number
    assert datetime.fromisoformat(entry["expires"]) > datetime.now(UTC) + timedelta(days=80)


def test_a_token_is_renewed_before_it_ends(agent: AgentProcess) -> None:
    agent.stop()
    before = agent.token()
    record = json.loads((agent.state / "agent.json").read_text())
    record["expires"] = (datetime.now(UTC) + timedelta(days=20)).isoformat()
    (agent.state / "agent.json").write_text(json.dumps(record))

    agent.start()

    eventually(lambda: agent.token() != before)
    assert agent.plugin().call("ADD").code == 0


def test_a_revoked_node_joins_again_once_it_is_forgotten(agent: AgentProcess, admin: Caller) -> None:
    plugin = agent.plugin()
    [entry] = [item for item in admin.get("/v1/tokens").json()["items"] if item["node"] == NODE]
    admin.ask("DELETE", f"/v1/tokens/{entry['id']}")

    refused = plugin.call("ADD")

    assert refused.error["code"] == 105
    eventually(lambda: "node forget" in agent.status().out)
    assert plugin.call("ADD").code != 0
    admin.ask("DELETE", f"/v1/nodes/default/{NODE}")
    agent.stop()
    agent.start()
    eventually(lambda: plugin.call("ADD").code == 0)


def test_an_agent_begins_while_ipamd_is_away_and_joins_when_it_is_back(
    idle: AgentProcess, lasting_ipamd: IpamdProcess, admin: Caller
) -> None:
    lasting_ipamd.stop()
    idle.start()
    plugin = idle.plugin(endpoints=idle.endpoints)

    failed = plugin.call(
        "ADD", plugin.config(timeout=1, caFile=json.loads(idle.node_json.read_text())["caFile"])
    )
    told = idle.status()
    lasting_ipamd.start()
    eventually(lambda: (idle.state / "token").exists())
    added = idle.plugin().call("ADD")

    assert failed.error["code"] == 11
    assert plugin.waiting() == []  # nothing can have been taken: there is nothing to undo
    assert told.code == 3
    assert "not reached" in told.out
    assert added.code == 0, added


def test_an_ipamd_that_cannot_prove_itself_gets_no_token(
    idle: AgentProcess, admin: Caller, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger", "stranger", "IP:127.0.0.1")
    values = json.loads(idle.node_json.read_text())
    idle.node_json.write_text(json.dumps({**values, "caFile": str(stranger.ca)}))
    idle.start()

    failed = idle.plugin().call("ADD", idle.plugin().config(timeout=1))
    told = idle.status()

    assert failed.error["code"] == 11
    assert idle.plugin().waiting() == []
    assert (told.code, "certificate" in told.out) == (3, True), told
    assert NODE not in [item["node"] for item in admin.get("/v1/tokens").json()["items"]]


def test_a_token_put_there_by_hand_is_found_after_a_refusal(idle: AgentProcess, admin: Caller) -> None:
    idle.options = ()
    idle.start()
    plugin = idle.plugin(state=idle.folder / "without-credentials")

    refused = plugin.call("ADD")
    _, text = admin.token_for("node", cluster="default", node=NODE)
    idle.state.mkdir(exist_ok=True)
    token_file(idle.state, text, "token")

    assert refused.error["code"] == 105
    eventually(lambda: plugin.call("ADD").code == 0)


def test_a_release_in_the_spool_is_delivered_without_another_call(
    agent: AgentProcess, lasting_ipamd: IpamdProcess, admin: Caller
) -> None:
    plugin = agent.plugin()
    assert plugin.call("ADD").code == 0
    lasting_ipamd.stop()

    deleted = plugin.call("DEL", plugin.config(timeout=1))
    waited = (len(plugin.waiting()), agent.metric("ipamd_agent_spool_entries"))
    told = agent.status()
    lasting_ipamd.start()
    eventually(lambda: plugin.waiting() == [])

    assert (deleted.code, waited) == (0, (1, 1.0))
    assert "1 waiting" in told.out
    assert held(admin) == []
    assert agent.metric("ipamd_agent_spool_entries") == 0


def test_what_nobody_knows_the_end_of_is_undone(
    agent: AgentProcess, lasting_ipamd: IpamdProcess, admin: Caller
) -> None:
    plugin = agent.plugin()
    assert plugin.call("ADD", CNI_CONTAINERID="c0").code == 0
    assert lasting_ipamd.process is not None
    lasting_ipamd.process.send_signal(signal.SIGSTOP)

    failed = plugin.call("ADD", plugin.config(timeout=1))
    undone = [entry["request"].get("undo") for entry in plugin.waiting()]
    lasting_ipamd.process.send_signal(signal.SIGCONT)
    eventually(lambda: plugin.waiting() == [])

    assert failed.error["code"] == 11
    assert undone == [True]
    assert held(admin) == ["c0"]


def test_a_release_in_the_spool_is_delivered_to_an_ipamd_that_is_slow(agent: AgentProcess) -> None:
    peer = tcp_peer()
    plugin = agent.plugin(endpoints=[peer.endpoint])
    peer.will(silence(), *[dribble(response(204), pause=0.01)] * 50)

    assert plugin.call("DEL", plugin.config(timeout=1)).code == 0
    waited = len(plugin.waiting())
    eventually(lambda: plugin.waiting() == [])
    peer.close()

    assert waited == 1


def test_without_the_agent_the_plugin_goes_on_with_the_nodes_own_token(
    agent: AgentProcess, authority: Authority, admin: Caller
) -> None:
    plugin = agent.plugin(endpoints=agent.endpoints)
    config = plugin.config(caFile=str(authority.ca))
    assert plugin.call("ADD", config).code == 0

    agent.kill()
    after_a_crash = plugin.call("ADD", config, CNI_CONTAINERID="c2")
    agent.start()
    agent.stop()
    after_a_stop = plugin.call("DEL", config)

    assert (after_a_crash.code, after_a_stop.code) == (0, 0), after_a_crash
    assert plugin.waiting() == []
    assert held(admin) == ["c2"]


def test_ipamd_may_be_killed_and_started_again_under_the_agent(
    agent: AgentProcess, lasting_ipamd: IpamdProcess, admin: Caller
) -> None:
    plugin = agent.plugin()
    assert plugin.call("ADD").code == 0

    for number in range(3):
        lasting_ipamd.kill()
        lasting_ipamd.start()
        assert plugin.call("ADD", CNI_CONTAINERID=f"n{number}").code == 0

    assert sorted(held(admin)) == ["c1", "n0", "n1", "n2"]


def test_the_agent_tells_how_it_does(agent: AgentProcess) -> None:
    assert agent.plugin().call("ADD").code == 0
    eventually(lambda: agent.metric("ipamd_agent_latency_seconds") > 0)

    told = agent.status()
    health = httpx.get(f"http://127.0.0.1:{agent.port}/healthz")
    agent.stop()
    gone = agent.status()

    assert (told.code, health.status_code) == (0, 200), told
    assert "node-a of cluster default" in told.out
    assert "nothing waits" in told.out
    assert gone.code == 3
    assert "no agent answers" in gone.complaint
    assert f"the plugin asks {agent.endpoints[1]} itself" in gone.complaint


def test_the_socket_is_for_root_and_its_group_and_goes_with_the_agent(agent: AgentProcess) -> None:
    mode = agent.socket.stat().st_mode & 0o7777

    agent.stop()

    assert mode == 0o660
    assert not agent.socket.exists()


def test_a_second_agent_is_refused_and_a_killed_one_replaced(agent: AgentProcess) -> None:
    second = agent.refused()
    still = agent.answers()
    agent.kill()
    agent.start()

    assert second.code == 1
    assert still
    assert agent.plugin().call("ADD").code == 0


def test_bad_input_ends_the_agent_with_one_sentence(idle: AgentProcess, scratch: Path) -> None:
    good = idle.node_json.read_text()
    open_token = token_file(scratch, ADMIN, "open")
    open_token.chmod(0o644)
    cases = {
        "{": "is not a JSON object",
        json.dumps({**json.loads(good), "endpoint": idle.endpoints[0]}): "only the agent itself as endpoint",
        json.dumps({**json.loads(good), "caFile": str(scratch / "none")}): "caFile",
        json.dumps({**json.loads(good), "endpoint": "http://10.0.0.1:1"}): "not sent over http:// beyond",
        json.dumps({**json.loads(good), "node": ""}): "must be a name",
        json.dumps({**json.loads(good), "tokenFile": str(open_token)}): "can be read by others",
        json.dumps({**json.loads(good), "leases": 4}): "leases: must be an object",
        json.dumps({**json.loads(good), "leases": {"max": 65}}): "leases.max: must be a number from 0 to 64",
        json.dumps({**json.loads(good), "leases": {"most": 4}}): "unsupported field leases.most",
    }
    for text, said in cases.items():
        idle.node_json.write_text(text)
        ended = idle.refused()
        assert (ended.code, said in ended.complaint.splitlines()[-1]) == (2, True), (text, ended)
    idle.node_json.write_text(good)

    idle.socket.parent.mkdir(exist_ok=True)
    idle.socket.write_text("not a socket")
    in_the_way = idle.refused()
    with socket.create_server(("127.0.0.1", idle.port)):
        taken = idle.refused()

    assert (in_the_way.code, "is not a socket" in in_the_way.complaint) == (2, True)
    assert idle.socket.read_text() == "not a socket"
    assert (taken.code, "name another port with --port" in taken.complaint) == (1, True)
    assert not idle.state.exists()


def test_an_ipamd_without_tokens_is_served_without_any(ipamd_process: IpamdProcess, scratch: Path) -> None:
    ipamd_process.create_pool("pods", "10.0.0.0/24")
    agent = AgentProcess(scratch, ipamd_process.endpoint)
    try:
        agent.start()
        added = agent.plugin().call("ADD")
        agent.stop()
    finally:
        agent.kill()

    assert added.code == 0, added
    assert len(ipamd_process.allocations()) == 1


def test_an_authority_that_is_replaced_counts_no_more_and_the_new_one_at_once(
    idle: AgentProcess, authority: Authority, tmp_path: Path
) -> None:
    ours, stranger = authority.ca.read_bytes(), Authority(tmp_path / "stranger", "stranger", "IP:127.0.0.1")
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(ours)
    values = json.loads(idle.node_json.read_text())
    idle.node_json.write_text(json.dumps({**values, "caFile": str(trusted)}))
    idle.start()
    plugin = idle.plugin()
    first = plugin.call("ADD")

    put_in_place(trusted, stranger.ca.read_bytes())
    eventually(lambda: plugin.call("ADD", plugin.config(timeout=1)).code != 0)
    refused = plugin.call("ADD", plugin.config(timeout=3))
    put_in_place(trusted, ours)
    eventually(lambda: plugin.call("ADD", plugin.config(timeout=1)).code == 0)

    assert first.code == 0, first
    assert refused.error["code"] == 11
    assert "certificate" in refused.error["details"] + refused.error["msg"]


def test_an_authority_that_cannot_be_read_leaves_the_one_before(
    idle: AgentProcess, authority: Authority, tmp_path: Path
) -> None:
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(authority.ca.read_bytes())
    values = json.loads(idle.node_json.read_text())
    idle.node_json.write_text(json.dumps({**values, "caFile": str(trusted)}))
    idle.start()

    put_in_place(trusted, b"no certificate")
    eventually(
        lambda: "the files of TLS cannot be used; those before stay in use: caFile" in idle.status().out
    )

    assert idle.status().code == 0
    assert idle.plugin().call("ADD").code == 0


def put_in_place(path: Path, content: bytes) -> None:
    """Replace a file as those do who may be watched: by a rename."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


def test_systemd_hears_when_the_agent_has_joined_and_listens_and_when_it_ends(
    idle: AgentProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    bell.bind(str(tmp_path / "notify"))
    bell.settimeout(30)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    idle.start()

    ready = bell.recv(100)
    joined = (idle.state / "token").exists()
    idle.stop()

    assert (ready, joined) == (b"READY=1", True)
    assert bell.recv(100) == b"STOPPING=1"


def test_a_node_whose_token_is_revoked_gives_nothing_from_its_lease(
    authority: Authority, admin: Caller, lasting_ipamd: IpamdProcess, scratch: Path, memory: Path
) -> None:
    agent = AgentProcess(
        scratch, f"https://127.0.0.1:{lasting_ipamd.port}", leases=4, caFile=str(authority.ca)
    )
    agent.run = memory
    agent.join_with(admin.token_for("join", cluster="default")[1])
    agent.start()
    try:
        plugin = agent.plugin()
        assert plugin.call("ADD").code == 0
        eventually(lambda: agent.ask("GET", "/status").json()["leases"]["open"])

        [token] = [one for one in admin.get("/v1/tokens").json()["items"] if one["node"] == NODE]
        assert admin.ask("DELETE", f"/v1/tokens/{token['id']}").is_success

        eventually(lambda: not agent.ask("GET", "/status").json()["leases"]["open"], 30)
        assert plugin.call("ADD", plugin.config(timeout=1), CNI_CONTAINERID="c2").error["code"] == 105
    finally:
        agent.kill()
