"""snapshot.py FILE COMMAND…: puts into an executable the memory that it has once its modules are loaded.

FILE is what the linker made. COMMAND runs it, and it writes its writable memory to stdout twice: as it is
when main() begins, and when all modules are loaded (variant/main.c). What differs is put into FILE. All else
stays as the linker made it: the C library's own, which depends on the process.
"""

from __future__ import annotations

import struct
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr
SEGMENT: Final = struct.Struct("<IIQQQQQQ")  # Elf64_Phdr
ELF64_LITTLE_ENDIAN: Final = b"\x7fELF\x02\x01"
PT_LOAD: Final = 1
PF_W: Final = 2
SECONDS: Final = 120


@dataclass(frozen=True)
class Segment:
    """The writable part of a program: where its header stands, and what that says."""

    header: int
    offset: int
    address: int
    in_file: int
    in_memory: int

    def encode(self, data: bytes) -> bytes:
        """Give the header with these sizes, from one that was there."""
        fields = list(SEGMENT.unpack_from(data, self.header))
        fields[5], fields[6] = self.in_file, self.in_memory
        return SEGMENT.pack(*fields)


def main() -> None:
    file, command = Path(sys.argv[1]), sys.argv[2:]
    data = file.read_bytes()
    segment = writable(data)
    linked = data[segment.offset : segment.offset + segment.in_file].ljust(segment.in_memory, b"\0")
    loaded = memory(linked, command, {})
    # Addresses on the stack, the environment and the arguments must not be in it: they are another call's.
    other = memory(linked, [*command, "another"], {"ANOTHER": "environment" * 100})
    if loaded != other:
        at = next(number for number, pair in enumerate(zip(loaded, other, strict=True)) if pair[0] != pair[1])
        raise SystemExit(f"native/snapshot.py: memory at {segment.address + at:#x} differs from run to run")
    file.write_bytes(with_memory(data, segment, loaded.rstrip(b"\0")))


def writable(data: bytes) -> Segment:
    """Find the one segment that can be written, which must be the last in the file."""
    if data[:6] != ELF64_LITTLE_ENDIAN:
        raise SystemExit("native/snapshot.py: this is no 64-bit little-endian executable")
    fields = HEADER.unpack_from(data)
    first, number = fields[5], fields[10]
    loads = []
    for at in range(first, first + number * SEGMENT.size, SEGMENT.size):
        kind, flags, offset, address, _, in_file, in_memory, _ = SEGMENT.unpack_from(data, at)
        if kind == PT_LOAD:
            loads.append((offset, flags, Segment(at, offset, address, in_file, in_memory)))
    if [bool(flags & PF_W) for _, flags, _ in sorted(loads)].index(True) != len(loads) - 1:
        raise SystemExit("native/snapshot.py: the writable segment is not the last one")
    return max(loads)[2]


def memory(linked: bytes, command: list[str], environment: dict[str, str]) -> bytes:
    """Give the writable memory with which a program should begin."""
    ran = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, timeout=SECONDS)
    written = ran.stdout
    size = len(linked)
    if len(written) != 2 * size:
        raise SystemExit(f"native/snapshot.py: {command[0]} wrote {len(written)} bytes, not {2 * size}")
    before, after = written[:size], written[size:]
    return bytes([new if old != new else pure for pure, old, new in zip(linked, before, after, strict=True)])


def with_memory(data: bytes, segment: Segment, contents: bytes) -> bytes:
    """Give the executable with these contents of its writable segment, and without its table of sections."""
    header = list(HEADER.unpack_from(data))
    header[6], header[12], header[13] = 0, 0, 0
    image = bytearray(data[: segment.offset] + contents)
    HEADER.pack_into(image, 0, *header)
    grown = replace(segment, in_file=len(contents))
    image[segment.header : segment.header + SEGMENT.size] = grown.encode(data)
    return bytes(image)


if __name__ == "__main__":
    main()
