// Imports of frozen modules: MicroPython would look for a folder and a file of each package and each module, in all
// names of files. Of a process that lives for milliseconds this was a tenth. (mp_builtin___import__ is the place that
// MicroPython has for a port's own import.)
#include <string.h>

#include "py/builtin.h"
#include "py/emitglue.h"
#include "py/objmodule.h"
#include "py/runtime.h"

enum { SLOTS = 512 }; // a power of two, well above the number of modules

extern const char mp_frozen_names[];
extern const mp_frozen_module_t *const mp_frozen_mpy_content[];

typedef struct {
    const char *file; // NULL in an empty slot
    const mp_frozen_module_t *content;
} frozen_t;

static frozen_t slots[SLOTS];

static const char package_ending[] = "/__init__.py";
static const char module_ending[] = ".py";

static bool is_package(const char *file, size_t size) {
    size_t ending = sizeof package_ending - 1;
    return size > ending && memcmp(file + size - ending, package_ending, ending) == 0;
}

static size_t slot_of(const char *name, size_t size) {
    size_t hash = size;
    for (size_t i = 0; i < size; ++i) {
        hash = 31 * hash + (name[i] == '/' ? '.' : name[i]);
    }
    return hash % SLOTS;
}

static void fill_slots(void) {
    size_t number = 0;
    size_t size = 0;
    for (const char *file = mp_frozen_names; (size = strlen(file)) != 0; file += size + 1) {
        size_t ending = is_package(file, size) ? sizeof package_ending - 1 : sizeof module_ending - 1;
        size_t at = slot_of(file, size - ending);
        while (slots[at].file != NULL) {
            at = (at + 1) % SLOTS;
        }
        slots[at] = (frozen_t){file, mp_frozen_mpy_content[number++]};
    }
}

// Tells whether the file a/b.py or a/b/__init__.py is that of the module a.b.
static bool is_of(const char *file, const char *name, size_t size) {
    for (size_t i = 0; i < size; ++i) {
        if (file[i] != (name[i] == '.' ? '/' : name[i])) {
            return false;
        }
    }
    return strcmp(file + size, module_ending) == 0 || strcmp(file + size, package_ending) == 0;
}

static const frozen_t *find(const char *name, size_t size) {
    if (slots[slot_of("cni_plugin", 10)].file == NULL) {
        fill_slots();
    }
    for (size_t at = slot_of(name, size); slots[at].file != NULL; at = (at + 1) % SLOTS) {
        if (is_of(slots[at].file, name, size)) {
            return &slots[at];
        }
    }
    return NULL;
}

// Runs a module's lines, in its own names. What they raise ends the process, so the module is left as it is.
static void run(mp_module_context_t *module, const mp_frozen_module_t *content) {
    module->constants = content->constants;
    nlr_jump_callback_node_globals_locals_t caller = {.globals = mp_globals_get(), .locals = mp_locals_get()};
    mp_globals_set(module->module.globals);
    mp_locals_set(module->module.globals);
    nlr_push_jump_callback(&caller.callback, mp_globals_locals_set_from_nlr_jump_callback);
    mp_call_function_0(mp_make_function_from_proto_fun(content->proto_fun, module, NULL));
    nlr_pop_jump_callback(true);
}

// Gives the frozen module of a name, loaded with the packages above it; MP_OBJ_NULL if there is none.
static mp_obj_t load(qstr name) {
    mp_map_t *loaded = &MP_STATE_VM(mp_loaded_modules_dict).map;
    mp_map_elem_t *there = mp_map_lookup(loaded, MP_OBJ_NEW_QSTR(name), MP_MAP_LOOKUP);
    if (there != NULL) {
        return there->value;
    }
    size_t size = 0;
    const char *text = (const char *)qstr_data(name, &size);
    const frozen_t *frozen = find(text, size);
    if (frozen == NULL) {
        return MP_OBJ_NULL;
    }
    const char *dot = strrchr(text, '.');
    mp_obj_t above = dot == NULL ? MP_OBJ_NULL : load(qstr_from_strn(text, dot - text));
    mp_obj_t module = mp_obj_new_module(name);
    if (is_package(frozen->file, strlen(frozen->file))) {
        mp_store_attr(module, MP_QSTR___path__, MP_OBJ_NEW_QSTR(name)); // by which MicroPython knows a package
    }
    run(MP_OBJ_TO_PTR(module), frozen->content);
    if (above != MP_OBJ_NULL) {
        mp_store_attr(above, qstr_from_str(dot + 1), module);
    }
    return module;
}

// `import NAME` and `from NAME import …`: arguments are the name, two that nobody reads, what is imported of it (None in
// the first case), and the level.
mp_obj_t import_frozen(size_t count, const mp_obj_t *arguments) {
    qstr name = mp_obj_str_get_qstr(arguments[0]);
    bool is_plain = strchr(qstr_str(name), '.') == NULL; // `import a.b` would give a
    if (count == 5 && arguments[4] == MP_OBJ_NEW_SMALL_INT(0) && (is_plain || arguments[3] != mp_const_none)) {
        mp_obj_t module = load(name);
        for (int extensible = 0; module == MP_OBJ_NULL && is_plain && extensible <= 1; ++extensible) {
            module = mp_module_get_builtin(name, extensible);
        }
        if (module != MP_OBJ_NULL) {
            return module;
        }
    }
    return mp_builtin___import___default(count, arguments);
}
