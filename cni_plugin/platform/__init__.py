"""The primitives that the two Pythons have under different names, picked once.

Both modules offer the same functions, which raise OSError with the number of the system's error; paths are
texts, descriptors are integers, sockets do not block.
"""

import sys

MICROPYTHON = sys.implementation.name == "micropython"

if MICROPYTHON:
    from cni_plugin.platform.micropython import (
        O_DIRECTORY,
        close,
        detach,
        effective_user,
        enter_namespace,
        environment,
        exit_now,
        file_status,
        guard_streams,
        host_name,
        inet_address,
        inet_bytes,
        inet_text,
        lock_within,
        make_folder,
        netlink_socket,
        new_socket,
        open_file,
        process_id,
        random_bytes,
        random_number,
        read,
        read_at,
        secure,
        sha256,
        sync,
        try_lock,
        unix_address,
        uptime_ns,
        write,
        write_at,
    )
else:
    from cni_plugin.platform.cpython import (
        O_DIRECTORY,
        close,
        detach,
        effective_user,
        enter_namespace,
        environment,
        exit_now,
        file_status,
        guard_streams,
        host_name,
        inet_address,
        inet_bytes,
        inet_text,
        lock_within,
        make_folder,
        netlink_socket,
        new_socket,
        open_file,
        process_id,
        random_bytes,
        random_number,
        read,
        read_at,
        secure,
        sha256,
        sync,
        try_lock,
        unix_address,
        uptime_ns,
        write,
        write_at,
    )

# The same numbers on every Linux architecture.
O_RDONLY = 0
O_WRONLY = 1
O_RDWR = 2
O_CREAT = 0o100
O_EXCL = 0o200
O_TRUNC = 0o1000
O_NONBLOCK = 0o4000
O_CLOEXEC = 0o2000000
S_IFMT = 0o170000
S_IFREG = 0o100000

__all__ = [
    "MICROPYTHON",
    "O_CLOEXEC",
    "O_CREAT",
    "O_DIRECTORY",
    "O_EXCL",
    "O_NONBLOCK",
    "O_RDONLY",
    "O_RDWR",
    "O_TRUNC",
    "O_WRONLY",
    "S_IFMT",
    "S_IFREG",
    "close",
    "detach",
    "effective_user",
    "enter_namespace",
    "environment",
    "exit_now",
    "file_status",
    "guard_streams",
    "host_name",
    "inet_address",
    "inet_bytes",
    "inet_text",
    "lock_within",
    "make_folder",
    "netlink_socket",
    "new_socket",
    "open_file",
    "process_id",
    "random_bytes",
    "random_number",
    "read",
    "read_at",
    "secure",
    "sha256",
    "sync",
    "try_lock",
    "unix_address",
    "uptime_ns",
    "write",
    "write_at",
]
