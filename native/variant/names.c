// Names and the texts that are like them. Of each text that a program makes MicroPython looks for a name that is alike,
// by a search through all frozen names: an eighth of what a process did that lives for milliseconds.
// The linker puts these functions before MicroPython's own (--wrap, in ../build).
#include <string.h>

#include "names.h"
#include "py/mpstate.h"
#include "py/qstr.h"
#include "py/runtime.h"

enum { SLOTS = 1 << 13 }; // more than twice the number of frozen names

static uint16_t slots[SLOTS]; // frozen names by their hash; MP_QSTRnull in an empty slot
static const qstr_pool_t *frozen; // the last pool of those that stand in the executable

qstr __real_qstr_from_strn(const char *text, size_t size);
qstr __wrap_qstr_find_strn(const char *text, size_t size);
qstr __wrap_qstr_from_strn(const char *text, size_t size);
qstr __wrap_qstr_from_str(const char *text);

void names_init(void) {
    frozen = MP_STATE_VM(last_pool);
    for (const qstr_pool_t *pool = frozen; pool != NULL; pool = pool->prev) {
        for (size_t i = pool->total_prev_len == 0 ? 1 : 0; i < pool->len; ++i) {
            size_t at = pool->hashes[i] % SLOTS;
            while (slots[at] != MP_QSTRnull) {
                at = (at + 1) % SLOTS;
            }
            slots[at] = pool->total_prev_len + i;
        }
    }
}

qstr __wrap_qstr_find_strn(const char *text, size_t size) {
    size_t hash = qstr_compute_hash((const byte *)text, size);
    for (size_t at = hash % SLOTS; slots[at] != MP_QSTRnull; at = (at + 1) % SLOTS) {
        size_t length = 0;
        const byte *name = qstr_data(slots[at], &length);
        if (length == size && memcmp(name, text, size) == 0) {
            return slots[at];
        }
    }
    for (const qstr_pool_t *pool = MP_STATE_VM(last_pool); pool != frozen; pool = pool->prev) {
        for (size_t i = 0; i < pool->len; ++i) {
            if (pool->hashes[i] == hash && pool->lengths[i] == size && memcmp(pool->qstrs[i], text, size) == 0) {
                return pool->total_prev_len + i;
            }
        }
    }
    return MP_QSTRnull;
}

qstr __wrap_qstr_from_strn(const char *text, size_t size) {
    qstr found = __wrap_qstr_find_strn(text, size);
    return found != MP_QSTRnull ? found : __real_qstr_from_strn(text, size);
}

qstr __wrap_qstr_from_str(const char *text) {
    return __wrap_qstr_from_strn(text, strlen(text));
}
