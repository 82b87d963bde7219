"""A backend that breaks one promise is caught, by the tests that are named for it."""

from pathlib import Path

import pytest

from tests.backends.suite import run_suite

SOME_FAILED = 1

CAUGHT_BY = {
    "LOST_UNIQUENESS": {"test_an_address_has_one_live_owner_whatever_the_pool"},
    "LOST_ROLLBACK": {
        "test_nothing_of_a_unit_of_work_that_raises_stays",
        "test_nothing_of_a_unit_of_work_that_violates_a_constraint_stays",
        "test_a_unit_of_work_that_waits_for_something_else_is_refused_and_undone",
    },
    "STALE_READ": {
        "test_no_update_of_a_block_is_lost_when_all_wait",
        "test_a_change_waits_for_blocks_and_loses_no_update",
        "test_what_was_committed_is_seen_by_whoever_asks_next",
        "test_what_is_locked_again_is_what_the_unit_of_work_wrote",
    },
    "FORGOTTEN_RELEASE": {
        "test_a_release_is_remembered_also_of_a_holder_that_had_nothing",
        "test_an_add_and_the_del_that_overtakes_it_leave_nothing_held",
    },
    "REORDERED_LOCKS": {"test_searches_are_answered_in_their_order"},
    "WRONG_PAGE": {"test_a_page_is_in_the_order_of_addresses_whenever_they_were_taken"},
}


@pytest.mark.parametrize("variant", CAUGHT_BY)
def test_the_suite_catches_a_backend_that_breaks_one_promise(scratch: Path, variant: str) -> None:
    named = ("-k", " or ".join(CAUGHT_BY[variant]))

    verdict = run_suite(
        scratch, "--backend-harness", f"tests.backends.harnesses:{variant}", "--tb=line", *named
    )

    assert verdict.code == SOME_FAILED, verdict.text
    assert verdict.failed >= CAUGHT_BY[variant], verdict.text
