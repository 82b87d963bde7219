"""ipamd: one service that gives the addresses of container networks, durably and never twice."""

from importlib.metadata import version

__version__ = version("ipamd")
