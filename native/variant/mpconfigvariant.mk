# How MicroPython's Unix port builds the node executable. Our main.c stands in the place of the port's, which
# would read arguments, MICROPYPATH and files.
COPT = -O2 # a tenth faster than -Os, and a sixth longer
FROZEN_MANIFEST := $(VARIANT_DIR)/manifest.py
MBEDTLS_CONFIG_FILE = \"tls_config.h\"
override SRC_C := $(VARIANT_DIR)/main.c $(VARIANT_DIR)/imports.c $(VARIANT_DIR)/names.c $(VARIANT_DIR)/snapshot.c gccollect.c unix_mphal.c alloc.c modsocket.c

MICROPY_PY_BTREE = 0
MICROPY_PY_FFI = 0
MICROPY_PY_TERMIOS = 0
MICROPY_PY_THREAD = 0
MICROPY_USE_READLINE = 0
MICROPY_VFS_FAT = 0
MICROPY_VFS_LFS1 = 0
MICROPY_VFS_LFS2 = 0
