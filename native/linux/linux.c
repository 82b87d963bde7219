// The module _linux: one primitive for system calls, with the numbers and flags that differ by architecture.
//     syscall(number, *arguments) -> int, or OSError with the error's number
// An argument is an integer, None (a null pointer) or a buffer (its address).
//     spawn(path, variable, stdin, stdout) -> the process, or OSError
// starts a program with this process's environment, in which NAME=VALUE stands in the place of NAME's old value.
//     lock(file, milliseconds) -> whether the exclusive lock (flock) of the file was had within that time, or OSError
//     detach(file) -> whether this is the new one of two processes, or OSError
// leaves the new one without streams and files, but for this file if its number is above 2.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "py/runtime.h"

enum { MOST_ARGUMENTS = 6 };

static long word_of(mp_obj_t argument) {
    if (mp_obj_is_int(argument)) {
        return (long)mp_obj_get_int_truncated(argument);
    }
    if (argument == mp_const_none) {
        return 0;
    }
    mp_buffer_info_t buffer;
    mp_get_buffer_raise(argument, &buffer, MP_BUFFER_READ);
    return (long)buffer.buf;
}

static mp_obj_t linux_syscall(size_t count, const mp_obj_t *arguments) {
    long word[1 + MOST_ARGUMENTS] = {0};
    for (size_t i = 0; i < count; ++i) {
        word[i] = word_of(arguments[i]);
    }
    long result = syscall(word[0], word[1], word[2], word[3], word[4], word[5], word[6]);
    if (result == -1) {
        mp_raise_OSError(errno);
    }
    return mp_obj_new_int(result);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(linux_syscall_obj, 1, 1 + MOST_ARGUMENTS, linux_syscall);

static mp_obj_t linux_spawn(size_t count, const mp_obj_t *arguments) {
    extern char **environ;
    const char *path = mp_obj_str_get_str(arguments[0]);
    const char *variable = mp_obj_str_get_str(arguments[1]);
    size_t name = strcspn(variable, "=") + 1;
    size_t size = 0;
    while (environ[size] != NULL) {
        ++size;
    }
    char **environment = m_new(char *, size + 2);
    size_t kept = 0;
    for (size_t i = 0; i < size; ++i) {
        if (strncmp(environ[i], variable, name) != 0) {
            environment[kept++] = environ[i];
        }
    }
    environment[kept++] = (char *)variable;
    environment[kept] = NULL;

    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, mp_obj_get_int(arguments[2]), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, mp_obj_get_int(arguments[3]), STDOUT_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t heard; // this process ignores it, and a program would inherit that
    sigemptyset(&heard);
    sigaddset(&heard, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &heard);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);

    pid_t process = 0;
    char *argv[] = {(char *)path, NULL};
    int error = posix_spawn(&process, path, &files, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    m_del(char *, environment, size + 2);
    if (error != 0) {
        mp_raise_OSError(error);
    }
    return mp_obj_new_int(process);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(linux_spawn_obj, 4, 4, linux_spawn);

static mp_obj_t linux_detach(mp_obj_t file) {
    unsigned kept = mp_obj_get_int(file);
    pid_t process = fork();
    if (process == -1) {
        mp_raise_OSError(errno);
    }
    if (process != 0) {
        return mp_const_false;
    }
    for (int number = STDIN_FILENO; number <= STDERR_FILENO; ++number) {
        close(number);
        open("/", O_PATH); // takes the number: a socket must not become stdout
    }
    unsigned first = STDERR_FILENO + 1;
    if (kept > first) {
        syscall(SYS_close_range, first, kept - 1, 0);
    }
    // Before Linux 5.9 this fails, and what a runtime opened without O_CLOEXEC stays open as long as the process is.
    syscall(SYS_close_range, kept < first ? first : kept + 1, ~0u, 0);
    return mp_const_true;
}
static MP_DEFINE_CONST_FUN_OBJ_1(linux_detach_obj, linux_detach);

static void wake(int signal) {
    (void)signal; // it has ended the system call that waited
}

static mp_obj_t linux_lock(mp_obj_t file, mp_obj_t milliseconds) {
    int number = mp_obj_get_int(file);
    if (flock(number, LOCK_EX | LOCK_NB) == 0) {
        return mp_const_true;
    }
    long limit = mp_obj_get_int(milliseconds);
    if (limit <= 0) {
        return mp_const_false; // a timer of nothing never comes
    }
    struct sigaction waking = {.sa_handler = wake};
    sigaction(SIGALRM, &waking, NULL);
    // Again and again: the first may come before the wait begins.
    struct itimerval timer = {.it_value = {limit / 1000, limit % 1000 * 1000}, .it_interval = {0, 1000}};
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &timer, NULL);
    int status = flock(number, LOCK_EX);
    int error = errno;
    setitimer(ITIMER_REAL, &never, NULL);
    if (status != 0 && error != EINTR) {
        mp_raise_OSError(error);
    }
    return mp_obj_new_bool(status == 0);
}
static MP_DEFINE_CONST_FUN_OBJ_2(linux_lock_obj, linux_lock);

#define NUMBER(name) { MP_ROM_QSTR(MP_QSTR_##name), MP_ROM_INT(name) }
static const mp_rom_map_elem_t names[] = {
    { MP_ROM_QSTR(MP_QSTR_detach), MP_ROM_PTR(&linux_detach_obj) },
    { MP_ROM_QSTR(MP_QSTR_lock), MP_ROM_PTR(&linux_lock_obj) },
    { MP_ROM_QSTR(MP_QSTR_spawn), MP_ROM_PTR(&linux_spawn_obj) },
    { MP_ROM_QSTR(MP_QSTR_syscall), MP_ROM_PTR(&linux_syscall_obj) },
    NUMBER(O_DIRECTORY),
    NUMBER(SYS_clock_gettime),
    NUMBER(SYS_close),
    NUMBER(SYS_exit_group),
    NUMBER(SYS_fcntl),
    NUMBER(SYS_flock),
    NUMBER(SYS_fsync),
    NUMBER(SYS_geteuid),
    NUMBER(SYS_getpid),
    NUMBER(SYS_getrandom),
    NUMBER(SYS_kill),
    NUMBER(SYS_lseek),
    NUMBER(SYS_memfd_create),
    NUMBER(SYS_mkdirat),
    NUMBER(SYS_openat),
    NUMBER(SYS_pidfd_open),
    NUMBER(SYS_pipe2),
    NUMBER(SYS_pread64),
    NUMBER(SYS_pwrite64),
    NUMBER(SYS_read),
    NUMBER(SYS_setns),
    NUMBER(SYS_statx),
    NUMBER(SYS_uname),
    NUMBER(SYS_wait4),
    NUMBER(SYS_write),
};
static MP_DEFINE_CONST_DICT(globals, names);

const mp_obj_module_t linux_module = {
    .base = { &mp_type_module },
    .globals = (mp_obj_dict_t *)&globals,
};
MP_REGISTER_MODULE(MP_QSTR__linux, linux_module);

// Mbed TLS's source of randomness; its own would read /dev/urandom, which an empty root does not have.
int mbedtls_hardware_poll(void *unused, unsigned char *output, size_t size, size_t *filled) {
    (void)unused;
    long got = syscall(SYS_getrandom, output, size, 0);
    *filled = got > 0 ? (size_t)got : 0;
    return got > 0 ? 0 : -1;
}
