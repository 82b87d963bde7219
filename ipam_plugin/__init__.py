"""The CNI IPAM plugin `ipamd-ipam`, in the Python that CPython 3.11 and MicroPython 1.25 share."""
