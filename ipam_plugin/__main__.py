"""`python -m ipam_plugin`: the plugin under CPython, for who has installed the wheel with the static file."""

from ipam_plugin.command import run

run()
