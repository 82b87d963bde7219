"""`ipamctl lease`, and `node release` of a node that holds addresses in advance."""

from datetime import datetime, timedelta

from tests.api.lease_holder import LeaseHolder
from tests.ctl.conftest import Ipamctl
from tests.service import IpamdProcess


def test_a_lease_lasts_as_long_as_ipamd_is_told(ipamd_process: IpamdProcess, ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "pods", "--subnet", "10.1.0.0/24")
    ipamd_process.stop()
    ipamd_process.options = ("--lease-seconds", "600")
    ipamd_process.start()
    holder = LeaseHolder(ipamd_process.http, "pods")

    assert holder.ask()["seconds"] == 600
    shown = ipamctl.json("lease", "show", holder.node)
    until, heard = (datetime.fromisoformat(shown[key]) for key in ("until", "last_contact"))
    assert until - heard == timedelta(minutes=10)


def test_leases_are_listed_shown_recalled_and_ended(ipamctl: Ipamctl, ipamd_process: IpamdProcess) -> None:
    ipamctl("pool", "create", "pods", "--subnet", "10.1.0.0/24", "--lease", "8")
    holder = LeaseHolder(ipamd_process.http, "pods")
    holder.ask()
    holder.begin(min(holder.states), "a1", 10)
    holder.report()

    assert ipamctl.json("pool", "show", "pods")["lease"] == 8
    [row] = ipamctl.rows("lease", "list", "--pool", "pods")
    assert row[:4] == ["default", holder.node, "2", "1"]
    assert ipamctl.json("lease", "show", holder.node)["pools"] == {"pods": 2}
    assert "is to give back 2 seats" in ipamctl("lease", "recall", holder.node)
    assert holder.ask()["recall"] == sorted(holder.states)[:2]

    ipamctl("node", "label", holder.node, "rack=1")
    assert "add --keep-lease" in ipamctl.refused("node", "forget", holder.node)
    assert "is forgotten" in ipamctl("node", "forget", holder.node, "--keep-lease")
    holder.ask()
    refused = ipamctl.refused("node", "release", holder.node, "--why", "off")
    assert "called at" in refused
    done = ipamctl("node", "release", holder.node, "--why", "off", "--even-if-alive")
    assert done.startswith("1 addresses")
    assert ipamctl.json("pool", "usage", "pods")["leased"] == 0
    assert "has no lease" in ipamctl.refused("lease", "show", "nobody")
