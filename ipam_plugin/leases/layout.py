"""Where everything stands in the file of the leases. Numbers are little-endian, times CLOCK_BOOTTIME in ns.

The first page is the header and what the last change writes elsewhere. A seat has a mark, a time, a head, a
holder and an answer, each in a table of its own, so that a free seat is found without a look at all heads.
"""

from __future__ import annotations

from struct import pack, unpack_from

from cni_plugin.platform import sha256

MAGIC = b"ipamdls\x01"  # the last byte is the number of the format
RETIRED = b"retired\x00"  # the magic of a file that another has replaced

SEATS = 1024
BUCKETS = 256
SLOTS = 16  # of a bucket
LOG_SIZE = 2 << 20
END_ROOM = 1024  # what the log keeps free for the end of each taken seat
HOLDER_SIZE = 512
ANSWER_SIZE = 4096
HEAD_SIZE = SLOT_SIZE = 64
SUM_SIZE = 8
SUMMED = HEAD_SIZE - SUM_SIZE  # how much of a head and of a slot stands before its sum

# The header. After the magic comes a sum over all that follows, the redo of the last change included.
HEADER_SUM = 8
HEADER_BODY = 24
HEADER_LENGTH = 24  # two bytes: how far the header and the redo reach
IS_OPEN = 26  # one byte: whether seats may be given
HIGH = 32  # how many seats were ever used: nothing behind them is read
TAKEN = 40
CHANGE = 48  # the number of the last change
UNTIL = 56  # when the node must stop giving
LOG_BEGIN = 64
LOG_END = 72
EVENT = 80  # the number of the last event
REPORTED = 88  # that of the last one that ipamd has
FORGOTTEN = 96  # the latest `issued` of an end that is no longer remembered
GRANT = 104
EPOCH = 112
STORE_ID = 120  # 16 bytes
BOOT = 136  # 36 characters
NODE = 176  # 16 bytes: a digest of cluster and node
MACHINE = 192  # 16 bytes
REDO = 208  # one byte: how many writes; each has four bytes of offset, two of length, and the bytes
CARRIED_OUT = 2048  # eight bytes behind the header, not in its sum: the last change whose writes are there
HEADER_READ = CARRIED_OUT + 8

MARKS = 4096
COOLED = MARKS + 4096
HEADS = COOLED + 8 * SEATS
IDENTITIES = HEADS + HEAD_SIZE * SEATS
HOLDERS = IDENTITIES + BUCKETS * SLOTS * SLOT_SIZE
LOG = HOLDERS + HOLDER_SIZE * SEATS
ANSWERS = LOG + LOG_SIZE
SIZE = ANSWERS + ANSWER_SIZE * SEATS

EMPTY, FREE, HELD, RETURNING = 0, 1, 2, 3  # states of a seat


def digest(*parts: str) -> bytes:
    """Give 16 bytes for several texts with their lengths, so that no two lists of texts have the same."""
    pieces = []
    for part in parts:
        data = part.encode()
        pieces.append(pack("<I", len(data)))
        pieces.append(data)
    return sha256(b"".join(pieces))[:16]


def configuration_key(network: str, version: str, section: bytes) -> bytes:
    """Give the key of a configuration: name, cniVersion, and the bytes of its `ipam` object."""
    return sha256(digest(network, version) + section)[:16]


def mark_of(key: bytes) -> bytes:
    """Give the mark of free seats of a configuration, never 0. Few others have the same."""
    return bytes([1 + key[0] % 255])


def sum_of(data: bytes, place: int) -> bytes:
    """Give the sum of bytes that stand at a place, so that those of another place do not pass for them."""
    return sha256(data + pack("<Q", place))[:SUM_SIZE]


def framed(data: bytes, place: int) -> bytes:
    """Put before bytes of a table their length and sum."""
    return pack("<H", len(data)) + sum_of(data, place) + data


def number_in(data: bytes | bytearray, at: int) -> int:
    """Read eight bytes as a number."""
    number: int = unpack_from("<Q", data, at)[0]
    return number
