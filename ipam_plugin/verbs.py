"""What each verb does with ipamd's answer, and without one."""

from __future__ import annotations

from ipam_plugin import clock, platform
from ipam_plugin.answer import HOPELESS, YES
from ipam_plugin.configuration import INSTALLATION
from ipam_plugin.failure import INVALID_NAMESPACE, IO_FAILURE, NOT_AVAILABLE, TRY_AGAIN, Failure, reason
from ipam_plugin.request import namespace_id
from ipam_plugin.session import note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipam_plugin.ask import Outcome
    from ipam_plugin.session import Session

_OWN_NAMESPACE = "/proc/self/ns/net"
_FIRST_PAUSE_MS = 50
_LONGEST_PAUSE_MS = 1000


def add(session: Session) -> int:
    """Ask until there is an answer or no time; what an ADD without success may have taken is undone."""
    _check_namespace(session)
    session.settings.destination.load()
    outcome = _ask_until_answered(session)
    answer = outcome.answer
    if answer is not None and answer.kind == YES:
        try:
            session.reply.write(answer.body)
        except OSError as error:
            _undo(session)
            raise Failure(IO_FAILURE, f"the result cannot be written to stdout: {reason(error)}") from error
        return 0
    if outcome.doubtful:
        _undo(session)
    if answer is None:
        raise _try_again(outcome)
    return session.reply.refuse(answer.body)


def delete(session: Session) -> int:
    """Hand the release to ipamd or to the spool: no pod hangs in Terminating for want of a yes.

    What ipamd will never take is set aside at once, where the operator finds it with ipamd's reason: a
    runtime that tried for ever would not make it right. Failure 5 only where the spool cannot be written.
    """
    kept = session.request()
    refusal = None
    try:
        session.settings.destination.load()
        outcome = _ask(session, kept)
        answer = outcome.answer
        if answer is not None and answer.kind == YES:
            return 0
        why = _seen(outcome) if answer is None else f"{answer.code} {answer.msg}"
        if answer is not None and answer.code in HOPELESS:
            refusal = answer.body
    except Failure as failure:
        why = failure.msg
    session.tried = session.spool.put(session.settings.destination, kept, refusal)
    note(f"the release {'waits in the spool' if refusal is None else 'was set aside'}: {why}")
    return 0


def ask_once(session: Session) -> int:
    """Hand on ipamd's answer to CHECK or GC; without one the runtime may try again."""
    session.settings.destination.load()
    return _hand_on(session, _ask(session, session.request()), TRY_AGAIN)


def status(session: Session) -> int:
    """Report what is wrong on this node and, only where the operator wants it, with ipamd."""
    try:
        session.spool.try_out()
    except OSError as error:
        where = session.settings.state_dir
        raise Failure(NOT_AVAILABLE, f"stateDir {where} cannot be written: {reason(error)}") from error
    session.settings.destination.load()
    if session.settings.status == INSTALLATION:
        return 0
    return _hand_on(session, _ask(session, session.request()), NOT_AVAILABLE)


VERBS = {"ADD": add, "DEL": delete, "CHECK": ask_once, "GC": ask_once, "STATUS": status}


def _ask(session: Session, kept: bytes) -> Outcome:
    from ipam_plugin.ask import ask  # not needed for a STATUS that asks nobody, the most frequent call

    whom = session.settings.destination
    return ask(whom, session.call.verb, session.headers, kept, session.deadline, session.spool.count())


def _ask_until_answered(session: Session) -> Outcome:
    """Ask with the same `issued` again and again; doubtful is the outcome of which any round was."""
    kept = session.request()
    doubtful = False
    pause = _FIRST_PAUSE_MS
    while True:
        outcome = _ask(session, kept)
        outcome.doubtful = doubtful = doubtful or outcome.doubtful
        wait = pause // 2 + platform.random_number() % (pause // 2)  # or all that wait would come at once
        if outcome.answer is not None or wait >= session.deadline.left_ms():
            return outcome
        clock.sleep_ms(wait)
        pause = min(2 * pause, _LONGEST_PAUSE_MS)


def _hand_on(session: Session, outcome: Outcome, silence: int) -> int:
    answer = outcome.answer
    if answer is None:
        raise Failure(silence, "ipamd gave no answer", _seen(outcome))
    return 0 if answer.kind == YES else session.reply.refuse(answer.body)


def _check_namespace(session: Session) -> None:
    call = session.call
    inside = namespace_id(call.netns)
    if inside != "null" and inside == namespace_id(_OWN_NAMESPACE) and not call.netns_override:
        raise Failure(INVALID_NAMESPACE, f"CNI_NETNS {call.netns} is the plugin's own network namespace")


def _undo(session: Session) -> None:
    try:
        session.spool.put(session.settings.destination, session.request(undo=True))
    except Failure as failure:
        note(f"what this ADD may have taken is left to the runtime's DEL: {failure.msg}")


def _try_again(outcome: Outcome) -> Failure:
    return Failure(TRY_AGAIN, "ipamd gave no answer in time; try again later", _seen(outcome))


def _seen(outcome: Outcome) -> str:
    return "; ".join(outcome.why)
