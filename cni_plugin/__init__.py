"""The parts of every CNI plugin of ours, in the Python that CPython 3.11 and MicroPython 1.25 share."""

# The version of the whole project: it stands here because an executable has no metadata to ask.
VERSION = "0.1.0"
