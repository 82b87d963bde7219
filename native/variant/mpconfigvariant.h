// Which parts of MicroPython the node executable has: those that the plugins use, and no way to run anything
// but the frozen modules.
#include <stdlib.h>

#define MICROPY_CONFIG_ROM_LEVEL (MICROPY_CONFIG_ROM_LEVEL_EXTRA_FEATURES)

// No compiler, no loading of files, no prompt. (External import stays on: frozen modules are imported by it.)
#define MICROPY_ENABLE_COMPILER (0)
#define MICROPY_PERSISTENT_CODE_LOAD (0)
#define MICROPY_EMIT_X64 (0)
#define MICROPY_HELPER_REPL (0)
#undef MICROPY_MODULE_FROZEN_STR
#define MICROPY_MODULE_FROZEN_STR (0)

// The heap grows by pieces up to the limit in main.c, which gives them out.
#define MICROPY_GC_SPLIT_HEAP (1)
#define MICROPY_GC_SPLIT_HEAP_AUTO (1)
void *heap_piece(size_t size);
#define MP_PLAT_ALLOC_HEAP(size) heap_piece(size)

// Numbers and errors as the plugin expects them.
#define MICROPY_FLOAT_IMPL (MICROPY_FLOAT_IMPL_DOUBLE)
#define MICROPY_FLOAT_USE_NATIVE_FLT16 (0)
#define MICROPY_LONGINT_IMPL (MICROPY_LONGINT_IMPL_MPZ)
#define MICROPY_ERROR_REPORTING (MICROPY_ERROR_REPORTING_DETAILED)
#define MICROPY_ENABLE_EMERGENCY_EXCEPTION_BUF (1)
#define MICROPY_EMERGENCY_EXCEPTION_BUF_SIZE (256)
#define MICROPY_KBD_EXCEPTION (1) // the port's unix_mphal.c wants it

// Speed. (With the default of 128 the names of this program collide in the cache: an ADD takes 4 % longer.)
#define MICROPY_OPT_COMPUTED_GOTO (1)
#define MICROPY_OPT_MAP_LOOKUP_CACHE_SIZE (1024)
// Names of a module and states of functions need no room that grows step by step: an ADD of ipamd-veth had a fifth of
// its instructions for that.
#define MICROPY_MODULE_DICT_SIZE (37)
#define MICROPY_LOADED_MODULES_DICT_SIZE (128)
#define MICROPY_ENABLE_PYSTACK (1)

// imports.c
#define MICROPY_PY___FILE__ (0)
#define mp_builtin___import__ import_loaded

// Modules that are used.
#define MICROPY_STREAMS_POSIX_API (1)
#define MICROPY_PY_OS_INCLUDEFILE "ports/unix/modos.c"
#define MICROPY_PY_OS_GETENV_PUTENV_UNSETENV (1)
#define MICROPY_PY_SELECT_POSIX_OPTIMISATIONS (1)
#define MICROPY_PY_SELECT_SELECT (0)
#define MICROPY_PY_SSL_FINALISER (1)
#define MICROPY_PY_SYS_STDIO_BUFFER (1)
#define MICROPY_PY_HASHLIB (1) // SHA-256, of Mbed TLS
#define MICROPY_PY_TIME (1)
#define MICROPY_PY_TIME_INCLUDEFILE "ports/unix/modtime.c"
#define MICROPY_PY_TIME_TIME_TIME_NS (1)
#define MICROPY_PY_TIME_CUSTOM_SLEEP (1)

// Modules and built-ins that are not.
#define MICROPY_PY_ARRAY (0)
#define MICROPY_PY_ASYNCIO (0)
#define MICROPY_PY_BINASCII (0)
#define MICROPY_PY_BUILTINS_COMPLEX (0)
#define MICROPY_PY_BUILTINS_HELP (0)
#define MICROPY_PY_BUILTINS_INPUT (0)
#define MICROPY_PY_CMATH (0)
#define MICROPY_PY_COLLECTIONS (0)
#define MICROPY_PY_CRYPTOLIB (0)
#define MICROPY_PY_DEFLATE (0)
#define MICROPY_PY_FRAMEBUF (0)
#define MICROPY_PY_HEAPQ (0)
#define MICROPY_PY_JSON (0)
#define MICROPY_PY_MACHINE (0)
#define MICROPY_PY_MATH (0)
#define MICROPY_PY_PLATFORM (0)
#define MICROPY_PY_RANDOM (0)
#define MICROPY_PY_RE (0)
#define MICROPY_PY_UCTYPES (0)
#define MICROPY_PY_WEBSOCKET (0)
