"""Netlink: what the kernel is asked about links, routes and packet filters, as bytes and as values.

In the Python that CPython 3.11 and MicroPython 1.25 share. All but `connection` is pure. Numbers are those of
the kernel's headers (linux/rtnetlink.h and its neighbours); they are the same on amd64 and arm64, and so is
the order of their bytes.
"""
