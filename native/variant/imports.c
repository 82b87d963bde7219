// Imports. All frozen modules are loaded when the executable is made (main.c), and a call finds them by one look at their
// names, where MicroPython would look for each package above them. (mp_builtin___import__ is the place that MicroPython
// has for a port's own import.)
#include <string.h>

#include "py/builtin.h"
#include "py/objmodule.h"
#include "py/runtime.h"

// `import NAME` and `from NAME import …`: arguments are the name, two that nobody reads, what is imported of it (None in
// the first case), and the level.
mp_obj_t import_loaded(size_t count, const mp_obj_t *arguments) {
    qstr name = mp_obj_str_get_qstr(arguments[0]);
    bool is_plain = strchr(qstr_str(name), '.') == NULL; // `import a.b` would give a
    if (count == 5 && arguments[4] == MP_OBJ_NEW_SMALL_INT(0) && (is_plain || arguments[3] != mp_const_none)) {
        mp_map_t *loaded = &MP_STATE_VM(mp_loaded_modules_dict).map;
        mp_map_elem_t *there = mp_map_lookup(loaded, MP_OBJ_NEW_QSTR(name), MP_MAP_LOOKUP);
        if (there != NULL) {
            return there->value;
        }
        for (int extensible = 0; is_plain && extensible <= 1; ++extensible) {
            mp_obj_t module = mp_module_get_builtin(name, extensible);
            if (module != MP_OBJ_NULL) {
                return module;
            }
        }
    }
    return mp_builtin___import___default(count, arguments);
}
