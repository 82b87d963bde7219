"""A process that dies in the middle of its work, over and over: `python -m ... crashing SCHEME`.

Each line of its input is an order: `unit STEP URL`, `change STEP URL` or `commits 0 URL`. It is carried out
by a child that has nothing of its parent's but the imports, and that ends by SIGKILL. A STEP beyond the last
is reached when the work is committed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from ipamd.backends.conformance.everything import change, take_steps, unit_of_work
from ipamd.backends.conformance.examples import allocation, block, carve, release
from ipamd.backends.interface import Backend, BlockId, Changes, Transaction
from ipamd.backends.registry import installed, open_backend

MOST_COMMITS = 60_000

ANSWERS = os.dup(sys.stdout.fileno())
"""Where answers go; whatever else is written to stdout, a backend's log for one, goes to stderr."""


def say(answer: object) -> None:
    """Answer with one line."""
    os.write(ANSWERS, f"{answer}\n".encode())


def die() -> None:
    """End as a crash does: nothing is finished, closed or flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


async def unit(step: str, url: str) -> None:
    """Die at a step of a unit of work."""
    backend = await open_backend(url)
    await backend.transact(lambda transaction: take_steps(unit_of_work(transaction), int(step), die))
    die()


async def change_of_catalogue(step: str, url: str) -> None:
    """Die at a step of a change."""
    backend = await open_backend(url)
    await backend.change(lambda catalogue: take_steps(change(catalogue), int(step), die))
    die()


async def commits(_: str, url: str) -> None:
    """Commit one unit of work after another, say so after each, and wait to be killed."""
    say(os.getpid())
    backend = await open_backend(url)
    await carve(backend, block(0), cursor=0)
    for number in range(1, MOST_COMMITS):
        await commit(backend, number)
        say(number)


async def commit(backend: Backend, number: int) -> None:
    """One unit of work of several writes, which leaves its number in each of them."""

    async def work(transaction: Transaction) -> None:
        row = allocation(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", f"c{number}")
        [locked] = await transaction.lock([BlockId("pods", 0)])
        locked.blocks[0].last_freed = number
        await transaction.write(Changes(begun=[row]))
        await transaction.write(Changes(blocks=list(locked.blocks)))
        await transaction.write(Changes(remembered=[release(row.digest, number)]))
        await transaction.carve("pods", [], number)

    await backend.transact(work)


ORDERS = {"unit": unit, "change": change_of_catalogue, "commits": commits}


def carry_out(order: list[str]) -> None:
    """Carry out one order in a child, and say how it ended."""
    child = os.fork()
    if child == 0:
        asyncio.run(ORDERS[order[0]](*order[1:]))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    say("died" if os.WIFSIGNALED(status) else "lived")


if __name__ == "__main__":
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    installed()[sys.argv[1]].load()  # once: for many a backend its imports are the most of its opening
    for line in sys.stdin:
        carry_out(line.split())
