"""What each verb does with ipamd's answer, and without one."""

from __future__ import annotations

from cni_plugin import clock, platform
from cni_plugin.failure import INVALID_NAMESPACE, IO_FAILURE, NOT_AVAILABLE, TRY_AGAIN, Failure, reason
from cni_plugin.reply import note
from ipam_plugin import leases
from ipam_plugin.answer import HOPELESS, YES
from ipam_plugin.configuration import INSTALLATION
from ipam_plugin.request import namespace_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipam_plugin.ask import Attempt
    from ipam_plugin.execution import Execution

_OWN_NAMESPACE = "/proc/self/ns/net"
_FIRST_PAUSE_MS = 50
_LONGEST_PAUSE_MS = 1000


def add(execution: Execution) -> int:
    """Ask until there is an answer or the time is over.

    If an ADD does not succeed, undo what it may have taken.
    """
    _check_namespace(execution)
    if leases.are_here():
        from ipam_plugin.leases import serving

        held = serving.add(execution)
        if held is not None:  # of a configuration whose ADD by ipamd was kept for its DEL
            _answer(execution, held)
            return 0
    execution.settings.destination.load()
    attempt = _ask_until_answered(execution)
    answer = attempt.answer
    if answer is not None and answer.kind == YES:
        from ipam_plugin import last_add, prefixes

        prefixes.keep(execution, answer.body)
        _answer(execution, answer.body)
        last_add.keep(execution.settings, execution.network)
        return 0
    if attempt.doubtful:
        _undo(execution)
    if answer is None:
        raise _try_again(attempt)
    return execution.reply.refuse(answer.body)


def delete(execution: Execution) -> int:
    """Send the release to ipamd, or spool it, so that no pod hangs in Terminating.

    A release that ipamd will never accept is set aside at once with ipamd's reason, where the operator finds
    it: a runtime that tried for ever would not help. Failure 5 only if the spool cannot be written.
    """
    from ipam_plugin import prefixes

    prefixes.forget(execution)
    refusal = None
    try:
        if _is_released_here(execution):
            return 0
        execution.settings.destination.load()
        attempt = _ask(execution, execution.request())
        answer = attempt.answer
        if answer is not None and answer.kind == YES:
            return 0
        why = _seen(attempt) if answer is None else f"{answer.code} {answer.msg}"
        if answer is not None and answer.code in HOPELESS:
            refusal = answer.body
    except Failure as failure:
        why = failure.msg
    execution.tried = execution.spool.put(execution.settings.destination, execution.request(), refusal)
    note(f"the release {'waits in the spool' if refusal is None else 'was set aside'}: {why}")
    return 0


def ask_once(execution: Execution) -> int:
    """Pass on ipamd's answer to CHECK or GC. Without an answer the runtime may try again."""
    if leases.are_here() and _is_checked_here(execution):
        return 0
    execution.settings.destination.load()
    return _hand_on(execution, _ask(execution, execution.request()), TRY_AGAIN)


def status(execution: Execution) -> int:
    """Report what is wrong on this node and, only if the operator wants it, with ipamd."""
    try:
        execution.spool.try_out()
    except OSError as error:
        where = execution.settings.state_dir
        raise Failure(NOT_AVAILABLE, f"stateDir {where} cannot be written: {reason(error)}") from error
    execution.settings.destination.load()
    if execution.settings.status == INSTALLATION:
        return 0
    return _hand_on(execution, _ask(execution, execution.request()), NOT_AVAILABLE)


VERBS = {"ADD": add, "DEL": delete, "CHECK": ask_once, "GC": ask_once, "STATUS": status}


def _answer(execution: Execution, answer: bytes) -> None:
    """Write the answer to an ADD, which is undone if nobody can read it."""
    try:
        execution.reply.write(answer)
    except OSError as error:
        _undo(execution)
        raise Failure(IO_FAILURE, f"the result cannot be written to stdout: {reason(error)}") from error


def _is_released_here(execution: Execution, *, undo: bool = False) -> bool:
    """Tell whether the leases of this node had what is released."""
    if not leases.are_here():
        return False
    from ipam_plugin.leases import serving

    return serving.delete(execution, undo=undo)


def _is_checked_here(execution: Execution) -> bool:
    """Carry out CHECK or GC in the leases of this node, and tell whether nobody is to be asked."""
    from ipam_plugin.leases import serving

    if execution.invocation.verb == "CHECK":
        return serving.check(execution)
    serving.collect(execution)
    return False


def _ask(execution: Execution, kept: bytes) -> Attempt:
    from ipam_plugin.ask import ask  # not needed by a STATUS that asks nobody, the most frequent verb

    whom, spool, invocation = execution.settings.destination, execution.spool, execution.invocation
    waiting = spool.count()
    if waiting and invocation.verb == "ADD":
        from ipam_plugin import delivery

        delivery.deliver_of_pod(spool, invocation.args, whom, execution.deadline)
        waiting = spool.count()
    return ask(whom, invocation.verb, execution.trace, kept, execution.deadline, waiting)


def _ask_until_answered(execution: Execution) -> Attempt:
    """Ask with the same `issued` again and again. The attempt is doubtful if any before it was.

    The time may run out within the last attempt. What the one before it saw is told too: it is the reason.
    """
    kept = execution.request()
    doubtful = False
    seen_before: list[str] = []
    pause = _FIRST_PAUSE_MS
    while True:
        attempt = _ask(execution, kept)
        attempt.doubtful = doubtful = doubtful or attempt.doubtful
        if execution.deadline.left_ms() == 0:
            attempt.why = seen_before + attempt.why
        seen_before = attempt.why
        wait = pause // 2 + platform.random_number() % (pause // 2)  # or all that wait would come at once
        if attempt.answer is not None or wait >= execution.deadline.left_ms():
            return attempt
        clock.sleep_ms(wait)
        pause = min(2 * pause, _LONGEST_PAUSE_MS)


def _hand_on(execution: Execution, attempt: Attempt, silence: int) -> int:
    answer = attempt.answer
    if answer is None:
        raise Failure(silence, "ipamd gave no answer", _seen(attempt))
    return 0 if answer.kind == YES else execution.reply.refuse(answer.body)


def _check_namespace(execution: Execution) -> None:
    invocation = execution.invocation
    inside = namespace_id(invocation.netns)
    if inside != "null" and inside == namespace_id(_OWN_NAMESPACE) and not invocation.netns_override:
        raise Failure(
            INVALID_NAMESPACE, f"CNI_NETNS {invocation.netns} is the plugin's own network namespace"
        )


def _undo(execution: Execution) -> None:
    try:
        if _is_released_here(execution, undo=True):
            return
    except Failure as failure:
        note(f"the undo waits in the spool: {failure.msg}")
    try:
        execution.spool.put(execution.settings.destination, execution.request(undo=True))
    except Failure as failure:
        note(f"what this ADD may have taken is left to the runtime's DEL: {failure.msg}")


def _try_again(attempt: Attempt) -> Failure:
    return Failure(TRY_AGAIN, "ipamd gave no answer in time; try again later", _seen(attempt))


def _seen(attempt: Attempt) -> str:
    return "; ".join(attempt.why)
