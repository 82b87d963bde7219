// Imports, made quick: of a process that lives for a millisecond they were a third of the interpreter's work.
// The linker puts these functions before MicroPython's own (--wrap, in ../build).
#include <string.h>

#include "py/emitglue.h"
#include "py/frozenmod.h"
#include "py/lexer.h"
#include "py/obj.h"
#include "py/runtime.h"

mp_obj_t __real_mp_import_name(qstr name, mp_obj_t names, mp_obj_t level);
mp_obj_t __wrap_mp_import_name(qstr name, mp_obj_t names, mp_obj_t level);
mp_import_stat_t __wrap_mp_find_frozen_module(const char *path, int *type, void **module);

extern const char mp_frozen_names[];
extern const mp_frozen_module_t *const mp_frozen_mpy_content[];

// `from a.b import c` of a module that is loaded: MicroPython would make the names a and b first.
mp_obj_t __wrap_mp_import_name(qstr name, mp_obj_t names, mp_obj_t level) {
    if (names != mp_const_none && level == MP_OBJ_NEW_SMALL_INT(0)) {
        mp_map_t *loaded = &MP_STATE_VM(mp_loaded_modules_dict).map;
        mp_map_elem_t *found = mp_map_lookup(loaded, MP_OBJ_NEW_QSTR(name), MP_MAP_LOOKUP);
        if (found != NULL) {
            return found->value;
        }
    }
    return __real_mp_import_name(name, names, level);
}

// Tells whether the path is a frozen folder or file, and gives the file's module if `type` is not NULL.
// An import asks three times: for a folder, for a file, and to load it. The names stand in order (manifest.py), so
// those that begin alike stand together: the first question finds where, and the others start there.
mp_import_stat_t __wrap_mp_find_frozen_module(const char *path, int *type, void **module) {
    static const char *found = mp_frozen_names; // the first name that begins with what was asked for last
    static size_t found_number = 0;
    static size_t asked_size = 0;

    size_t size = strlen(path);
    if (size < asked_size || strncmp(found, path, asked_size) != 0) {
        found = mp_frozen_names;
        found_number = 0;
    }
    while (*found != '\0' && strncmp(found, path, size) != 0) {
        found += strlen(found) + 1;
        ++found_number;
    }
    asked_size = size;
    if (type != NULL) {
        *type = MP_FROZEN_NONE;
    }
    const char *name = found;
    for (size_t number = found_number; *name != '\0' && strncmp(name, path, size) == 0; ++number) {
        if (name[size] == '/') {
            return MP_IMPORT_STAT_DIR;
        }
        if (name[size] == '\0') {
            if (type != NULL) {
                *type = MP_FROZEN_MPY;
                *module = (void *)mp_frozen_mpy_content[number];
            }
            return MP_IMPORT_STAT_FILE;
        }
        name += strlen(name) + 1;
    }
    return MP_IMPORT_STAT_NO_EXIST;
}
