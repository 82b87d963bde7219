"""Starting another program and seeing its end: the primitives of the two Pythons, picked once.

Both raise OSError with the number of the system's error; descriptors are integers.
"""

from cni_plugin.platform import MICROPYTHON

if MICROPYTHON:
    from veth_plugin.program.micropython import kill, memory_file, new_pipe, start, status, watch
else:
    from veth_plugin.program.cpython import kill, memory_file, new_pipe, start, status, watch

__all__ = ["kill", "memory_file", "new_pipe", "start", "status", "watch"]
