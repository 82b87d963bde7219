"""A block in use: which address is next, and what taking and releasing one changes."""

from __future__ import annotations

from ipamd.addressing.ranges import Spans
from ipamd.models.address import IPNetwork
from ipamd.models.block import HELD, Block
from ipamd.models.instant import Instant
from ipamd.models.pool import DEFAULT_BLOCK_LENGTH, LARGEST_BLOCK_BITS


def effective_block_length(
    subnet: IPNetwork, asked: int | None = None, prefix_length: int | None = None
) -> int:
    """The prefix length of a pool's blocks: as asked, else /26 or /122; at least the subnet's.

    In a pool of prefixes a block has 64 of them, if nothing else was asked.

    Raises ValueError with a sentence for a length that the family does not have or that makes a block
    too large to be read and written with every change.
    """
    longest = subnet.max_prefixlen if prefix_length is None else prefix_length
    usual = DEFAULT_BLOCK_LENGTH[subnet.version] - (subnet.max_prefixlen - longest)
    length = max(usual, 0) if asked is None else asked
    if not longest - LARGEST_BLOCK_BITS <= length <= longest:
        shortest = max(longest - LARGEST_BLOCK_BITS, 0)
        of = "" if prefix_length is None else f" of /{longest} prefixes"
        raise ValueError(f"a block{of} is a /{shortest} to a /{longest}, not a /{length}")
    return max(length, subnet.prefixlen)


def held_bits(block: Block) -> int:
    """Which addresses of a block are held."""
    held = 0
    for offset, since in enumerate(block.free_since):
        if since == HELD:
            held |= 1 << offset
    return held


def count_held(block: Block, among: Spans) -> int:
    """How many of the addresses `among` are held. It looks at these alone."""
    return sum(
        block.free_since[value - block.first] == HELD
        for begin, end in among.between(block.first, block.first + block.size - 1)
        for value in range(begin, end + 1)
    )


def count_freed_after(block: Block, among: int, instant: Instant) -> int:
    """How many of the addresses `among` were released after an instant, and are still free."""
    return sum(
        instant < since < HELD and among >> offset & 1 for offset, since in enumerate(block.free_since)
    )


def longest_free_since(block: Block, assignable: int) -> Instant | None:
    """Since when the next address that may be given is free, None if there is none."""
    oldest = min(
        (since for offset, since in enumerate(block.free_since) if assignable >> offset & 1), default=HELD
    )
    return None if oldest == HELD else oldest


def spare(size: int) -> int:
    """How many free addresses of a block are so few that the next block is carved."""
    return max(size // 4, 1)


def aligned_groups(among: int, size: int, count: int) -> list[int]:
    """The offsets, the last first, at which `count` aligned neighbours (a power of two) are all `among`.

    `among` are some of `size` places of a block, as bits.
    """
    whole = (1 << count) - 1
    return [at for at in range(size - count, -1, -count) if among >> at & whole == whole]


class OpenBlock:
    """A locked block in a batch: its free, assignable addresses in the order of their turn.

    `assignable` are the addresses that anybody may get, as bits. The order is computed once, so that many
    requests of a batch can share a block. `owner` is the node that had the block when it was opened.
    """

    __slots__ = ("_assignable", "_taken", "_turns", "block", "changed", "next_free_since", "owner")

    def __init__(self, block: Block, assignable: int) -> None:
        self.block = block
        self.owner = block.node
        self.changed = False
        self._assignable = assignable
        self._taken: dict[int, Instant] = {}
        free_since = block.free_since
        free = [offset for offset, since in enumerate(free_since) if since != HELD]  # of most blocks few
        turns = [offset for offset in reversed(free) if assignable >> offset & 1]
        turns.sort(key=free_since.__getitem__, reverse=True)
        self._turns = turns  # the next one last, where popping is cheap; of equals the lowest
        self._note_next()

    def _note_next(self) -> None:
        """Note since when the next address is free; None if there is none."""
        self.next_free_since = self.block.free_since[self._turns[-1]] if self._turns else None

    def take_next(self, free_before: Instant) -> int | None:
        """Take the address that has been free longest, if that is since `free_before` or longer.

        Returns its value.
        """
        since = self.next_free_since
        if since is None or since > free_before:
            return None
        value = self._hold(self._turns.pop())
        self._note_next()
        return value

    def take_among(self, among: int) -> int | None:
        """Take the one of these addresses (bit i: `first + i`) that is free longest, even a reserved one."""
        free_since = self.block.free_since
        free = [o for o in range(self.block.size) if among >> o & 1 and free_since[o] != HELD]
        if not free:
            return None
        offset = min(free, key=free_since.__getitem__)
        if offset in self._turns:
            self._turns.remove(offset)
            self._note_next()
        return self._hold(offset)

    def take_prefix(self, among: int, count: int, free_before: Instant) -> int | None:
        """Take `count` aligned neighbours among these addresses, all free since `free_before` or longer.

        They are those that have been free longest, of equals the last. Returns the value of the first.
        """
        free_since = self.block.free_since
        best: int | None = None
        longest = free_before + 1
        for at in aligned_groups(among, self.block.size, count):
            since = max(free_since[at : at + count])
            if since < longest:
                best, longest = at, since
        if best is None:
            return None
        self._turns = [offset for offset in self._turns if not best <= offset < best + count]
        self._note_next()
        for offset in range(best, best + count):
            self._hold(offset)
        return self.block.first + best

    def first_held(self, among: int) -> int | None:
        """The lowest of these addresses that is held."""
        free_since = self.block.free_since
        held = (o for o in range(self.block.size) if among >> o & 1 and free_since[o] == HELD)
        offset = next(held, None)
        return None if offset is None else self.block.first + offset

    def give_back(self, value: int, now: Instant) -> None:
        """Release an address: it is the last in turn from now on."""
        offset = value - self.block.first
        if self.block.free_since[offset] != HELD:
            return
        self._free(offset, now)
        self.block.last_freed = max(self.block.last_freed, now)
        if self._assignable >> offset & 1:
            self._turns.insert(0, offset)
            if len(self._turns) > 1 and now < self.block.free_since[self._turns[1]]:
                self._sort_turns()  # another replica's clock is ahead of this one's
            self._note_next()

    def free_before(self, value: int) -> Instant:
        """Since when an address was free that this batch took."""
        return self._taken[value - self.block.first]

    def lease(self, value: int) -> Instant:
        """Count an address that this batch took as a node's free seat. Returns since when it was free."""
        self.block.leased += 1
        return self.free_before(value)

    def begin(self) -> None:
        """A container has one of the free seats from now on."""
        self.block.leased -= 1
        self.changed = True

    def lease_again(self, until: Instant) -> None:
        """An address of a container that ended is a free seat again."""
        self.block.leased += 1
        self.block.last_freed = max(self.block.last_freed, until)
        self.changed = True

    def give_back_seat(self, value: int, since: Instant) -> None:
        """Release the address of a free seat, which has been free since then."""
        self.put_back(value, since)
        self.block.leased -= 1

    def put_back(self, value: int, since: Instant) -> None:
        """Release an address that nobody has used since then."""
        offset = value - self.block.first
        self._free(offset, since)
        self.block.last_freed = max(self.block.last_freed, since)
        if self._assignable >> offset & 1:
            self._turns.append(offset)
            self._sort_turns()

    def untake(self, value: int) -> None:
        """Put back what this batch took and does not need, as if it had never been taken."""
        offset = value - self.block.first
        self._free(offset, self._taken.pop(offset))
        if self._assignable >> offset & 1:
            self._turns.append(offset)
            self._sort_turns()

    def _sort_turns(self) -> None:
        self._turns.sort(key=self.block.free_since.__getitem__, reverse=True)
        self._note_next()

    def close(self) -> Block:
        """The block to write."""
        self.block.next_free_since = self.next_free_since
        return self.block

    def _hold(self, offset: int) -> int:
        self._taken[offset] = self.block.free_since[offset]
        self.block.free_since[offset] = HELD
        self.block.allocated += 1
        self.changed = True
        return self.block.first + offset

    def _free(self, offset: int, since: Instant) -> None:
        self.block.free_since[offset] = since
        self.block.allocated -= 1
        self.changed = True
