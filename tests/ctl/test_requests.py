"""`ipamctl request`."""

from tests.ctl.conftest import Ipamctl


def test_requests_are_made_listed_approved_and_refused(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "lab", "--subnet", "10.42.0.0/24")
    said = ipamctl("request", "create", "allocation", "--owner", "vm-7", "--pool", "lab", "--note", "shop")
    number = said.split()[1]
    other = ipamctl("request", "create", "reservation", "--address", "10.42.0.9", "--owner", "lb").split()[1]

    listed = ipamctl.rows("request", "list", "--state", "open")
    approved = ipamctl("request", "approve", number, "--why", "fine")
    refused = ipamctl("request", "refuse", other, "--why", "no")

    assert said == f"request {number} waits for an admin\n"
    assert [row[:2] for row in listed] == [[other, "open"], [number, "open"]]
    assert approved == f"request {number} is approved: allocation of 10.42.0.2\n"
    assert refused == f"request {other} is refused\n"
    shown = ipamctl.json("request", "show", number)
    assert (shown["state"], shown["reason"], shown["outcome"]["pool"]) == ("approved", "fine", "lab")
    assert "vm-7" in ipamctl("allocation", "list")
    assert "was refused by loopback" in ipamctl.refused("request", "approve", other)
    assert ipamctl.refused("request", "show", "999") == (
        "there is no request '999': `ipamctl request list` shows what there is"
    )
    assert ipamctl.run("request", "refuse", number).returncode == 2
