// What the program has in memory: for ../snapshot.py, which puts it into the executable.
#include "snapshot.h"

#include <link.h>
#include <sys/auxv.h>
#include <unistd.h>

// The part of memory that can be written and that the file describes: .data and .bss.
static const ElfW(Phdr) * writable_segment(void) {
    const ElfW(Phdr) *segment = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    while (segment->p_type != PT_LOAD || (segment->p_flags & PF_W) == 0) {
        ++segment;
    }
    return segment;
}

bool snapshot_write(int file) {
    const ElfW(Phdr) *segment = writable_segment();
    const char *begin = (const char *)segment->p_vaddr;
    const char *end = begin + segment->p_memsz;
    while (begin < end) {
        ssize_t written = write(file, begin, end - begin);
        if (written < 0) {
            return false;
        }
        begin += written;
    }
    return true;
}
