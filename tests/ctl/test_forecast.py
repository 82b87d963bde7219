"""`ipamctl forecast`."""

from tests.ctl.conftest import Ipamctl


def test_a_forecast_says_why_it_cannot_say_more(ipamctl: Ipamctl) -> None:
    ipamctl("pool", "create", "lab", "--subnet", "10.42.0.0/24")
    ipamctl("pool", "create", "yard", "--subnet", "10.43.0.0/28")

    rows = ipamctl.rows("forecast", "--days", "7")
    [known] = ipamctl.json("forecast", "yard")["items"]

    assert [row[:2] for row in rows] == [["lab", "253"], ["yard", "13"]]
    assert all("too little is known" in " ".join(row) for row in rows)
    assert (known["pool"], known["window_days"], known["days_until_full"]) == ("yard", 30, None)
    assert ipamctl.refused("forecast", "none").startswith("there is no pool 'none': ")
    assert ipamctl.run("forecast", "--days", "0").returncode == 2
