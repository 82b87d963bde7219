// The node executable's beginning and end: runs main() of the plugin whose name it bears and exits with its number.
// It looks at no other argument, at no variable that CNI does not define, and imports from no file.
//
// A plugin lives for less than a millisecond, and more than half of that would go into its modules. So they are loaded
// when the executable is made: the file that the linker makes loads all of them and writes what it then has in
// memory. ../snapshot.py makes of both the file that is shipped, which begins where the other ended.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "extmod/vfs.h"
#include "extmod/vfs_posix.h"
#include "names.h"
#include "py/builtin.h"
#include "py/cstack.h"
#include "py/gc.h"
#include "py/pystack.h"
#include "py/runtime.h"
#include "snapshot.h"

enum {
    FIRST_HEAP = 1 << 20,
    LARGEST_HEAP = 256 << 20,
    STACK = 512 << 10,
    STATES = 512 << 10,
    EXIT_CRASH = 70,
};

// One file serves every plugin: the name by which it is started says which.
static const struct {
    const char *name;
    const char *module;
} plugins[] = {
    {"ipamd-ipam", "ipam_plugin.command"},
    {"ipamd-veth", "veth_plugin.command"},
};

// Under another name it would have to guess: an IPAM plugin that answers for a main plugin leaves a pod without
// an interface.
static const char *const misnamed = "cni_plugin.misnamed";

// Common variables are the last of .bss. The heap is the first of them: of what lies behind its used part, all is zero,
// and the file need not have it.
struct memory {
    char heap[FIRST_HEAP];
    char states[STATES];
};
__attribute__((common)) struct memory memory;

static bool is_loaded = false; // true in the file that is shipped
static size_t heap_size = FIRST_HEAP;

size_t gc_get_max_new_split(void) {
    return LARGEST_HEAP - heap_size;
}

void *heap_piece(size_t size) {
    void *piece = malloc(size);
    heap_size += piece == NULL ? 0 : size;
    return piece;
}

static void print_to_stderr(void *unused, const char *text, size_t size) {
    (void)unused;
    if (write(STDERR_FILENO, text, size) < 0) {
        return; // there is nobody else to tell
    }
}

const mp_print_t mp_stderr_print = {NULL, print_to_stderr};

void nlr_jump_fail(void *value) {
    (void)value;
    _exit(EXIT_CRASH);
}

// A standard stream that the caller closed must not become a socket's number.
static void fill_standard_streams(void) {
    for (int number = STDIN_FILENO; number <= STDERR_FILENO; ++number) {
        if (fcntl(number, F_GETFD) < 0 && epoll_create1(0) != number) {
            _exit(EXIT_CRASH);
        }
    }
}

static void mount_root(void) {
    mp_obj_t arguments[2] = {
        MP_OBJ_TYPE_GET_SLOT(&mp_type_vfs_posix, make_new)(&mp_type_vfs_posix, 0, 0, NULL),
        MP_OBJ_NEW_QSTR(MP_QSTR__slash_),
    };
    mp_vfs_mount(2, arguments, (mp_map_t *)&mp_const_empty_map);
    MP_STATE_VM(vfs_cur) = MP_STATE_VM(vfs_mount_table);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static const char *module_of(const char *name) {
    for (size_t i = 0; i < MP_ARRAY_SIZE(plugins); ++i) {
        if (strcmp(name, plugins[i].name) == 0) {
            return plugins[i].module;
        }
    }
    return misnamed;
}

static mp_obj_t import(mp_obj_t name) {
    mp_obj_t arguments[5] = {name, mp_const_none, mp_const_none, mp_const_true, MP_OBJ_NEW_SMALL_INT(0)};
    return mp_builtin___import__(5, arguments);
}

// Imports the module of a frozen file: of a/b.py, and of a/b/__init__.py, a.b.
static void import_file(const char *file, size_t size) {
    static const char package[] = "/__init__.py";
    static const char module[] = ".py";
    const char *ending = strstr(file, package);
    vstr_t name;
    vstr_init(&name, size);
    vstr_add_strn(&name, file, (ending != NULL ? ending : file + size - strlen(module)) - file);
    for (size_t i = 0; i < name.len; ++i) {
        name.buf[i] = name.buf[i] == '/' ? '.' : name.buf[i];
    }
    import(mp_obj_new_str_from_vstr(&name));
}

static void import_all(void) {
    extern const char mp_frozen_names[]; // texts, the last of them empty
    size_t size = 0;
    for (const char *file = mp_frozen_names; (size = strlen(file)) != 0; file += size + 1) {
        import_file(file, size);
    }
}

// The exit status of an exception: that of SystemExit, or of a crash, with a traceback on stderr.
static int status_of(mp_obj_t exception) {
    const mp_obj_type_t *type = mp_obj_get_type(exception);
    if (mp_obj_is_subclass_fast(MP_OBJ_FROM_PTR(type), MP_OBJ_FROM_PTR(&mp_type_SystemExit))) {
        mp_obj_t value = mp_obj_exception_get_value(exception);
        mp_int_t status = 0;
        if (value == mp_const_none || mp_obj_get_int_maybe(value, &status)) {
            return status & 0xff;
        }
        return 1;
    }
    mp_obj_print_exception(&mp_stderr_print, exception);
    return EXIT_CRASH;
}

// Does everything that is alike in every call; gives an exit status.
static MP_NOINLINE int load(void) {
    mp_cstack_init_with_sp_here(STACK);
    mp_pystack_init(memory.states, memory.states + sizeof memory.states);
    gc_init(memory.heap, memory.heap + sizeof memory.heap);
    mp_init();
    names_init();
    nlr_buf_t jump;
    if (nlr_push(&jump) != 0) {
        return status_of(MP_OBJ_FROM_PTR(jump.ret_val));
    }
    mp_sys_path = mp_obj_new_list(0, NULL); // modules come from the executable alone
    mp_obj_list_append(mp_sys_path, MP_OBJ_NEW_QSTR(MP_QSTR__dot_frozen));
    mp_obj_list_init(MP_OBJ_TO_PTR(mp_sys_argv), 0);
    mount_root();
    import_all();
    nlr_pop();
    return 0;
}

// Writes memory as it is before and after loading; gives an exit status.
static int take_snapshot(void) {
    if (!snapshot_write(STDOUT_FILENO)) {
        return EXIT_CRASH;
    }
    int status = load();
    mp_cstack_init_with_top(NULL, 0);
    memset(memory.states, 0, sizeof memory.states);
    is_loaded = true;
    return status == 0 && snapshot_write(STDOUT_FILENO) ? 0 : EXIT_CRASH;
}

static MP_NOINLINE int run(const char *name) {
    nlr_buf_t jump;
    if (nlr_push(&jump) != 0) {
        return status_of(MP_OBJ_FROM_PTR(jump.ret_val));
    }
    mp_obj_t module = import(mp_obj_new_str_from_cstr(module_of(name)));
    mp_int_t status = EXIT_CRASH;
    mp_obj_get_int_maybe(mp_call_function_0(mp_load_attr(module, MP_QSTR_main)), &status);
    nlr_pop();
    return status & 0xff;
}

int main(int count, char **arguments) {
    if (!is_loaded) {
        _exit(take_snapshot());
    }
    signal(SIGPIPE, SIG_IGN); // a reader that is gone is an error of write, which the plugin handles
    fill_standard_streams();
    mp_cstack_init_with_sp_here(STACK);
    _exit(run(count > 0 ? base_name(arguments[0]) : ""));
}
