"""What stands on the terminal, and where `ipamctl` goes for it."""

import socket

import yaml

from tests.ctl.conftest import Ipamctl
from tests.ports import free_port
from tests.service import IpamdProcess

MARKUP = "[bold]loud[/bold] [link=http://x]:smile:"
CONTROL = "\x1b]0;title\x07\x1b[2J\r\nroot \u202egnp.exe"
ESCAPED = r"\x1b]0;title\x07\x1b[2J\r\nroot \u202egnp.exe"


def test_foreign_text_is_shown_as_text(ipamctl: Ipamctl, ipamd_process: IpamdProcess) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.1.0.0/24")
    body = {"address": "10.1.0.9", "note": f"{MARKUP} {CONTROL}"}
    assert ipamd_process.http.post("/v1/reservations", json=body).is_success

    table = ipamctl("reservation", "list")
    text = ipamctl("reservation", "list", "-o", "json")

    assert f"{MARKUP} {ESCAPED}" in table
    assert len(table.splitlines()) == 2
    assert not any(character in text for character in "\x1b\x07\u202e")
    assert ipamctl.json("reservation", "list")["items"][0]["note"] == f"{MARKUP} {CONTROL}"


def test_a_refusal_shows_foreign_text_as_text(ipamctl: Ipamctl) -> None:
    sentence = ipamctl.refused("pool", "show", "x\x1b[2J[bold]")

    assert "\x1b" not in sentence
    assert "[bold]" in sentence


def test_a_table_that_goes_into_a_pipe_breaks_no_row(ipamctl: Ipamctl) -> None:
    namespaces = [part for number in range(40) for part in ("--namespace", f"namespace-{number}")]
    ipamctl("pool", "create", "p", "--subnet", "10.1.0.0/24", *namespaces)

    assert len(ipamctl.rows("pool", "list")) == 1


def test_status_says_what_runs_where_and_how_full_it_is(
    ipamctl: Ipamctl, ipamd_process: IpamdProcess
) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.1.0.0/24")

    status = ipamctl.json("status")

    assert (status["endpoint"], status["healthy"], status["ready"]) == (
        ipamd_process.tcp_endpoint,
        True,
        True,
    )
    assert f"ipamctl {status['version']}\n" == ipamctl("--version")
    assert [pool["pool"] for pool in status["pools"]] == ["p"]
    assert ["p", "256", "0", "0", "0", "0", "0", "3", "253", "0", "0", "-"] in ipamctl.rows("status")


def test_the_unix_socket_works_as_well(ipamctl: Ipamctl, ipamd_process: IpamdProcess) -> None:
    ipamctl("--endpoint", ipamd_process.endpoint, "pool", "create", "p", "--subnet", "10.1.0.0/24")

    assert [row[0] for row in ipamctl.rows("pool", "list", "--endpoint", ipamd_process.endpoint)] == ["p"]


def test_a_flag_counts_before_the_environment_and_that_before_the_profile(
    lone_ipamctl: Ipamctl, ipamd_process: IpamdProcess
) -> None:
    profile = lone_ipamctl.home / ".config" / "ipamd" / "profile.toml"
    profile.parent.mkdir(parents=True)
    nowhere, endpoint = f"http://127.0.0.1:{free_port()}", ipamd_process.tcp_endpoint

    profile.write_text(f'endpoint = "{endpoint}"\n')
    from_profile = lone_ipamctl.json("status")
    profile.write_text(f'endpoint = "{nowhere}"\n')
    lone_ipamctl.environment["IPAMD_ENDPOINT"] = endpoint
    from_environment = lone_ipamctl.json("status")
    lone_ipamctl.environment["IPAMD_ENDPOINT"] = nowhere
    from_flag = lone_ipamctl.json("status", "--endpoint", endpoint)

    assert {status["endpoint"] for status in (from_profile, from_environment, from_flag)} == {endpoint}


def test_an_unknown_key_in_the_profile_is_named(lone_ipamctl: Ipamctl) -> None:
    profile = lone_ipamctl.home / ".config" / "ipamd" / "profile.toml"
    profile.parent.mkdir(parents=True)
    profile.write_text('endpiont = "http://127.0.0.1:1"\n')

    assert "unknown key `endpiont`; did you mean `endpoint`?" in lone_ipamctl.refused("status", exit_code=2)


def test_silence_is_exit_code_3(lone_ipamctl: Ipamctl) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"

    sentence = lone_ipamctl.refused("pool", "list", "--endpoint", endpoint, exit_code=3)

    assert sentence.startswith(f"ipamd does not answer at {endpoint} (")


def test_a_listener_that_is_not_ipamd_is_exit_code_3(lone_ipamctl: Ipamctl) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with lone_ipamctl.started("pool", "list", "--endpoint", endpoint) as process:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno")
            _, complaint = process.communicate(timeout=120)

    assert process.returncode == 3
    assert "is this ipamd?" in complaint


def test_a_wrong_command_line_is_exit_code_2(lone_ipamctl: Ipamctl) -> None:
    for arguments in (
        ("pool", "create", "p"),
        ("pool", "create", "p", "--subnet", "10.0.0.0/24", "--gateway", "10.0.0.1", "--no-gateway"),
        ("pool", "edit", "p"),
        ("allocation", "release", "printer"),
        ("history", "--at", "yesterday"),
        ("pool", "list", "--endpoint", "ftp://127.0.0.1"),
        ("frobnicate",),
    ):
        done = lone_ipamctl.run(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert done.stderr


def test_what_is_no_endpoint_is_refused_as_such(lone_ipamctl: Ipamctl) -> None:
    for text in (
        *("127.0.0.1:8750", "ftp://127.0.0.1", "unix://relative", "http://", "http://[::1", "http://a b"),
        *(
            "http://127.0.0.1:65536",
            "http://127.0.0.1:0",
            "http://user@host",
            "http://host/?query",
            "http://h#f",
        ),
        *("http://\u00e4..b", f"http://{'a' * 64}.example", "http://[fe80::1%25eth0]", "http://h\x1b[2J"),
    ):
        sentence = lone_ipamctl.refused("pool", "list", "--endpoint", text, exit_code=2)
        assert "is not an endpoint" in sentence
        assert "\x1b" not in sentence


def test_the_help_lists_the_exit_codes(lone_ipamctl: Ipamctl) -> None:
    text = lone_ipamctl("--help")

    assert all(f"\n    {code}  " in text for code in range(4))


def test_a_token_is_sent_as_bearer_and_never_in_plain_to_another_machine(lone_ipamctl: Ipamctl) -> None:
    token = lone_ipamctl.home / "token"
    token.write_text("ipamd_secret\n")
    lone_ipamctl.environment["IPAMD_TOKEN_FILE"] = str(token)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with lone_ipamctl.started("pool", "delete", "p", "--endpoint", endpoint) as process:
            connection, _ = listener.accept()
            with connection:
                request = connection.recv(65536)
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            process.communicate(timeout=120)
    sentence = lone_ipamctl.refused("pool", "list", "--endpoint", "http://192.0.2.1:8750", exit_code=2)

    assert process.returncode == 0
    assert b"\r\nauthorization: bearer ipamd_secret\r\n" in request.lower()
    assert "plain HTTP" in sentence


def test_wide_has_every_field_and_yaml_says_what_json_says(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "p", "--subnet", "10.1.0.0/24", "--cooldown", "7")

    wide = ipamctl("pool", "list", "-o", "wide").splitlines()
    documents = [ipamctl.json(*command) for command in (("pool", "list"), ("pool", "show", "p"), ("status",))]
    same = [
        yaml.safe_load(ipamctl(*command, "-o", "yaml"))
        for command in (("pool", "list"), ("pool", "show", "p"), ("status",))
    ]

    assert "COOLDOWN" in wide[0]
    assert "BLOCK SIZE" in wide[0]
    assert len(wide) == 2
    assert same == documents


def test_a_shell_is_told_what_may_come_next(lone_ipamctl: Ipamctl) -> None:
    lone_ipamctl.environment |= {
        "_IPAMCTL_COMPLETE": "complete_bash",
        "COMP_WORDS": "ipamctl pool ",
        "COMP_CWORD": "2",
    }

    assert {"create", "list", "show", "edit"} <= set(lone_ipamctl().split())
