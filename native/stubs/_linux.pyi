# The C module of the static executable: system calls with integers, None and buffers.
O_DIRECTORY: int
SYS_clock_gettime: int
SYS_close: int
SYS_exit_group: int
SYS_fcntl: int
SYS_flock: int
SYS_fsync: int
SYS_geteuid: int
SYS_getpid: int
SYS_getrandom: int
SYS_kill: int
SYS_lseek: int
SYS_memfd_create: int
SYS_mkdirat: int
SYS_openat: int
SYS_pidfd_open: int
SYS_pipe2: int
SYS_pread64: int
SYS_pwrite64: int
SYS_read: int
SYS_setns: int
SYS_statx: int
SYS_uname: int
SYS_wait4: int
SYS_write: int

def syscall(number: int, *arguments: int | bytes | bytearray | memoryview | None) -> int: ...
def detach(file: int) -> bool: ...
def lock(file: int, milliseconds: int) -> bool: ...
def spawn(path: str, variable: str, stdin: int, stdout: int) -> int: ...
