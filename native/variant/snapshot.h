#include <stdbool.h>

// Writes all of .data and .bss to a file; false if it does not take them.
bool snapshot_write(int file);
