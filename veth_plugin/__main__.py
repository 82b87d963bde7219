"""`python -m veth_plugin`: the main plugin under CPython."""

from veth_plugin.command import run

run()
