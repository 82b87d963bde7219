"""`python -m ipam_plugin`: the plugin under CPython, if the wheel has installed the static file."""

from ipam_plugin.command import run

run()
