"""ipamd stands still, or is told to end, in the middle of calls."""

import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.cni.executable import SECONDS, finish
from tests.faults.clients import TRY_AGAIN, Caller, Node
from tests.faults.ledger import Tables
from tests.faults.machine import Machine, address_of
from tests.service import IpamdProcess, standing_still

CLIENTS = 32
PLUGINS = 8
RUDENESS = 0.7  # seconds: by then a service that does not wait for its calls is gone; SQLite waits for 3


@contextmanager
def being_written_by_another(database: Path) -> Iterator[None]:
    """Somebody else's sqlite3 is about to write to the file, until the block is left."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def await_refusal(port: int) -> None:
    """Wait until nobody listens on a port any more."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.005)
    raise AssertionError("the service goes on to listen")


def deliver_all(machine: Machine) -> None:
    """Make calls until nothing waits in the spool."""
    for number in range(32):
        if not machine.plugin.waiting():
            return
        assert machine.delete(f"passing-{number}").code == 0
    raise AssertionError("the spool is not delivered")


def test_an_add_that_gives_up_on_a_service_that_stands_still_leaves_nothing(
    ipamd: IpamdProcess, machine: Machine
) -> None:
    """The proxy in between keeps the connection, so that the service cannot see that nobody waits."""
    config = machine.config(timeout=2)
    with standing_still(ipamd):
        given_up = machine.add("c1", config)
        assert given_up.error["code"] == TRY_AGAIN
        assert len(machine.plugin.waiting()) == 1

    second = address_of(machine.add("c2", config))
    deliver_all(machine)

    assert ipamd.addresses() == {second}
    endings = Tables(ipamd.database).rows("SELECT ending FROM allocation WHERE container_id = 'c1'")
    assert endings == [("undone",)], "the ADD arrived and was undone"


def test_an_add_that_gives_up_while_the_database_is_held_by_another_leaves_nothing(
    ipamd: IpamdProcess, machine: Machine
) -> None:
    """Here the service is in the middle of the ADD's transaction when its plugin ends."""
    config = machine.config(timeout=1)
    with being_written_by_another(ipamd.database):
        assert machine.add("c1", config).error["code"] == TRY_AGAIN

    second = address_of(machine.add("c2"))
    deliver_all(machine)

    assert ipamd.addresses() == {second}


def test_of_adds_in_flight_those_that_were_answered_hold_and_no_others(
    ipamd: IpamdProcess, machine: Machine
) -> None:
    config = machine.config(endpoint=ipamd.tcp_endpoint, timeout=3)
    plugins = {
        f"c{number}": machine.plugin.start("ADD", config, CNI_CONTAINERID=f"c{number}")
        for number in range(PLUGINS)
    }
    while all(plugin.poll() is None for plugin in plugins.values()):
        time.sleep(0.0005)
    with standing_still(ipamd):
        finished = {container: finish(plugin) for container, plugin in plugins.items()}
    deliver_all(machine)

    told = {container: address_of(end) for container, end in finished.items() if end.code == 0}
    refused = [end for end in finished.values() if end.code != 0]
    assert {end.error["code"] for end in refused} <= {TRY_AGAIN}
    assert told
    assert Tables(ipamd.database).live() == {container: (address,) for container, address in told.items()}


def test_a_service_that_is_told_to_end_answers_what_it_took(ipamd: IpamdProcess) -> None:
    callers = [Caller(ipamd.port, Node(f"node-{number}"), ["pods"]) for number in range(CLIENTS)]
    for number, caller in enumerate(callers):  # connections that it has accepted, with calls that it answered
        assert caller.add(f"c{number}").code == 0
    process = ipamd.process
    assert process is not None

    with being_written_by_another(ipamd.database):  # no call can be decided
        for number, caller in enumerate(callers):
            verb, container = ("add", f"d{number}") if number % 2 else ("del", f"c{number}")
            caller.send(verb, caller.body(container))
        process.send_signal(signal.SIGTERM)
        await_refusal(ipamd.port)
        time.sleep(RUDENESS)
        assert process.poll() is None
    answers = [caller.receive() for caller in callers]

    assert process.wait(SECONDS) == 0
    assert {answer.code for answer in answers} == {0}
    live = Tables(ipamd.database).live()
    for number, answer in enumerate(answers):
        assert live.get(f"d{number}", ()) == answer.addresses
        assert (f"c{number}" in live) == bool(number % 2)
    for caller in callers:
        caller.close()
