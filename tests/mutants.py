"""Guards broken on purpose, one at a time: each must turn the tests that are named beside it red.

    python -m tests.mutants [--jobs N] [--list] [WORD ...]

A guard is a line that keeps a promise: a unique key, a state in a WHERE, a limit. Each entry says which text of which
file is the guard, what it looks like broken, and which tests must notice. They are run on a copy of this tree, first
as it is (all must pass), then with one guard broken at a time; then a table says which test noticed. WORD chooses
guards by their names. Exit code 1 when a guard can be broken unnoticed, or its text is not in the tree any more:
then code has moved, and the entry moves with it. `make test` looks only whether every entry still fits.
"""

from __future__ import annotations

import argparse
import itertools
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mariadb import Unavailable
from tests.servers import private_server

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("scheduler", "cli", "migrations", "tests", "examples", "docs", "setup.cfg", "pyproject.toml", "README.md")
LONGEST, LOOPS = 300, 60
"""Seconds for one test of the code as it is, and of a broken guard: that may be what ends a loop."""


@dataclass(frozen=True)
class Mutant:
    guard: str
    path: str
    right: str
    broken: str
    tests: tuple[str, ...]
    also: tuple[tuple[str, str, str], ...] = ()
    """Further edits, (path, right, broken), where a promise is kept in two places and either would do."""

    @property
    def edits(self) -> tuple[tuple[str, str, str], ...]:
        return ((self.path, self.right, self.broken), *self.also)


def mutant(
    guard: str, path: str, right: str, broken: str, *tests: str, also: Sequence[tuple[str, str, str]] = ()
) -> Mutant:
    return Mutant(guard, path, right, broken, tuple(f"tests/{one}" for one in tests), tuple(also))


@dataclass(frozen=True)
class Result:
    verdict: str
    """red, GREEN, or what went wrong."""
    by: str
    seconds: float


CALLS, DISPATCH, FOLLOW = "scheduler/store/calls.py", "scheduler/service/dispatch.py", "scheduler/service/follow.py"
ASTERISK = "scheduler/providers/asterisk.py"
RECOVERY = "scheduler/service/recovery.py"
TWILIO, OUTCOMES = "scheduler/providers/twilio.py", "scheduler/service/outcomes.py"
ATTEMPTS = "migrations/versions/0007_create_call_attempts.py"

MUTANTS: Sequence[Mutant] = (
    # --- money
    mutant(
        "a cost is taken in the account's unit alone", "scheduler/model.py",
        "return by_talk or unit in (self.unit, SIMULATED)",
        "return True",
        "service/test_accounts.py::test_a_cost_in_another_unit_takes_nothing_stops_the_account_and_is_said",
    ),
    mutant(
        "no dial on credit in another unit", "scheduler/service/dispatch.py",
        "account is None or unit is None or account.refused_unit is not None or account.takes(unit)",
        "True",
        "service/test_accounts.py::test_a_provider_that_is_known_to_charge_in_another_unit_is_never_dialed_on_credit",
    ),
    mutant(
        "a unit changes only without a balance", "scheduler/service/accounts.py",
        "                _must_be_empty(connection, account)",
        "                pass",
        "service/test_accounts.py::test_a_ledger_of_two_currencies_is_never_added_up",
    ),
    mutant(
        "amounts of two units are never one figure", "scheduler/store/totals.py",
        "if unit != last_unit:",
        "if False:",
        "store/test_totals.py::test_costs_of_two_units_are_two_figures",
    ),
    mutant(
        "a cost only grows, in its own unit", "scheduler/service/outcomes.py",
        "return report.cost_unit == ending.cost_unit and report.cost > ending.cost",
        "return True",
        "service/test_inbox.py::test_the_highest_cost_counts_and_is_charged_once_in_whatever_order_it_comes",
    ),
    mutant(
        "a word that nobody knew stays known as that", "scheduler/service/outcomes.py",
        'elif earlier.get("known_word") is False:',
        "elif False:",
        "service/test_inbox.py::test_an_unknown_word_and_what_came_with_it_stay_known_when_the_call_is_amended",
    ),
    # --- what the tables refuse, whatever the code does
    mutant(
        "one open row per lead", "migrations/versions/0006_create_call_schedule.py",
        'sa.UniqueConstraint("open_lead_id", name="uq_call_schedule_open_lead"),',
        "",
        "store/test_tables.py::test_a_lead_never_has_two_open_rows",
    ),
    mutant(
        "one open attempt per phone", ATTEMPTS,
        'sa.UniqueConstraint("telefono", "open_mark", name="uq_call_attempts_open_phone"),',
        "",
        "store/test_tables.py::test_a_number_never_has_two_open_attempts_whatever_campaign_it_is_for",
    ),
    mutant(
        "one open attempt per row", ATTEMPTS,
        'sa.UniqueConstraint("schedule_id", "open_mark", name="uq_call_attempts_open_schedule"),',
        "",
        "store/test_tables.py::test_a_row_never_has_two_open_attempts",
    ),
    mutant(
        "a reference is used once", ATTEMPTS,
        'sa.UniqueConstraint("attempt_ref", name="uq_call_attempts_attempt_ref"),',
        "",
        "store/test_tables.py::test_an_attempt_is_known_by_its_ref_and_by_the_providers_id",
    ),
    mutant(
        "a provider's call belongs to one attempt", ATTEMPTS,
        '"provider", "provider_call_id", name=',
        '"id", "provider", "provider_call_id", name=',
        "store/test_tables.py::test_an_attempt_is_known_by_its_ref_and_by_the_providers_id",
    ),
    mutant(
        "an event of a provider is kept once", "migrations/versions/0010_create_provider_events.py",
        'sa.UniqueConstraint("provider", "event_key", name="uq_provider_events_provider_event_key"),',
        "",
        "store/test_tables.py::test_what_is_there_once_is_never_there_twice",
    ),
    mutant(
        "a key of a repeated request is taken once", "migrations/versions/0032_say_who_may_ask.py",
        '"caller", "idempotency_key", name=',
        '"id", "caller", "idempotency_key", name=',
        "web/api/test_idempotency.py::test_a_refusal_is_replayed_too_and_what_is_no_key_is_refused",
    ),
    # --- what vendors say, and what is ours
    mutant(
        "a word that nobody knows ends no call at Twilio", TWILIO,
        "    return any(sign is not None for sign in signs)",
        "    return True",
        ("providers/test_twilio.py::"
         "test_an_unknown_word_in_a_callback_is_a_failure_only_with_a_sign_of_an_end"),
    ),
    mutant(
        "a word that nobody knows ends no call at NLPearl", "scheduler/providers/nlpearl.py",
        "    if is_strange and not shows_end and conversation not in CONCLUDED:",
        "    if False:",
        "providers/test_nlpearl.py::test_a_word_that_nobody_knows_is_no_end_of_a_lead_or_of_its_call",
    ),
    mutant(
        "a call at Twilio without our reference is not ours", TWILIO,
        "        if ours:\n            return ours[0]",
        "        if ours or possible:\n            return (ours or possible)[0]",
        "providers/test_twilio.py::"
        "test_a_call_of_that_time_that_nothing_proves_is_left_to_people_where_calls_are_not_announced",
    ),
    mutant(
        "a call at Twilio may announce itself until it had its say", TWILIO,
        "all(_had_its_say(row, now) for row in left)",
        "True",
        "providers/test_twilio.py::test_where_calls_are_announced_one_that_said_nothing_is_never_ours",
    ),
    mutant(
        "an outage is told by the network's own code", "scheduler/providers/causes.py",
        "        return sip is not None and 500 <= sip < 600",
        "        return False",
        "providers/test_twilio.py::test_a_network_that_did_not_take_the_call_spends_nothing",
    ),
    mutant(
        "an outage holds no row", OUTCOMES,
        "counts=answer.kind is RefusalKind.REFUSED, grows=answer.kind in OF_THE_PROVIDER",
        "counts=True, grows=True",
        "service/test_vendors_trouble.py::test_an_outage_of_many_calls_closes_nobody_and_spends_nothing",
    ),
    mutant(
        "an outage opens the breaker although starts are accepted", "scheduler/service/breakers.py",
        "at_once=self._outages.get(one.provider, 0) >= FAULTS_TO_OPEN",
        "at_once=False",
        "service/test_vendors_trouble.py::test_an_outage_opens_the_breaker_although_every_start_is_accepted",
    ),
    mutant(
        "a call that somebody cancelled is not made again", "scheduler/rules/retry.py",
        "    if outcome is Outcome.CANCELLED and not ended.by_us:",
        "    if False:",
        ("service/test_vendors_trouble.py::"
         "test_a_call_that_somebody_cancelled_at_the_provider_is_not_made_again_by_itself"),
    ),
    mutant(
        "an event that disagrees shadows no genuine one", "scheduler/store/inbox.py",
        '        if not added and _what_is_kept(connection, row["provider"], key) != (ref, call_id, json.loads(said)):',
        "        if False:",
        "service/test_inbox.py::test_an_event_with_a_wrong_reference_never_shadows_the_genuine_one",
    ),
    mutant(
        "an event of one attempt and the call of another is believed of neither", "scheduler/service/inbox.py",
        "        if holder is not None and holder.id != attempt.id:",
        "        if False:",
        ("service/test_inbox.py::"
         "test_an_event_of_one_attempt_and_the_call_of_another_is_said_and_believed_of_neither"),
    ),
    mutant(
        "of two ends the better informed one stays", "scheduler/rules/retry.py",
        "    return told if KNOWLEDGE.index(told) > KNOWLEDGE.index(known) else None",
        "    return told if told is not known else None",
        "service/test_inbox.py::test_every_order_and_repetition_of_the_ends_of_a_call_comes_to_the_same",
    ),
    mutant(
        "whoever was reached after all is not called again", OUTCOMES,
        "    if outcome not in SETTLING and not is_newest:",
        "    if not is_newest:",
        "service/test_inbox.py::test_a_lead_that_was_reached_after_all_is_not_called_a_third_time",
    ),
    mutant(
        "a second call is paid for once", OUTCOMES,
        '"charged": max(taken, second.charged),',
        '"charged": second.charged,',
        "service/test_inbox.py::test_a_second_call_is_followed_to_its_end_and_paid_for",
    ),
    mutant(
        "a machine's call at Twilio is ended once", TWILIO,
        "            if call_id in self._machines or call_id in self._completed:",
        "            if False:",
        "providers/test_twilio.py::test_a_call_to_a_machine_is_ended_once",
    ),
    # --- leases, and the state that each change leaves
    mutant(
        "answers are written by whoever holds the lease", CALLS,
        "and row.lease_token == token",
        "and True",
        "store/test_calls.py::test_an_attempt_is_ours_only_by_the_token_and_while_it_is_placed",
    ),
    mutant(
        "only what is being placed is ours to answer", CALLS,
        "and attempts[attempt_id].state is AttemptState.PLACING",
        "and True",
        "store/test_calls.py::test_an_attempt_is_ours_only_by_the_token_and_while_it_is_placed",
    ),
    mutant(
        "rows in other hands are not dialed", CALLS,
        " S.lease_token == token,",
        "",
        ("service/test_dispatch.py::"
         "test_a_row_that_came_into_other_hands_since_the_take_is_neither_dialed_nor_touched"),
    ),
    mutant(
        "only waiting rows are leased", CALLS,
        'guard=f"status IN {in_states(statuses_before(ScheduleStatus.IN_PROGRESS))}"',
        'guard="1 = 1"',
        "store/test_calls.py::test_only_a_row_that_waits_is_leased",
    ),
    mutant(
        "a call that is over does not come alive", CALLS,
        'guard=f"state IN {in_states(states_before(AttemptState.LIVE))}"',
        'guard="1 = 1"',
        "store/test_calls.py::test_an_attempt_moves_only_as_the_table_of_moves_says",
    ),
    mutant(
        "a known call does not become unknown", CALLS,
        'guard=f"state IN {in_states(states_before(AttemptState.UNKNOWN))}"',
        'guard="1 = 1"',
        "store/test_calls.py::test_an_attempt_moves_only_as_the_table_of_moves_says",
    ),
    mutant(
        "a call that is over is not refused", CALLS,
        'guard=f"state IN {in_states(states_before(AttemptState.REFUSED))}"',
        'guard="1 = 1"',
        "store/test_calls.py::test_an_attempt_moves_only_as_the_table_of_moves_says",
    ),
    mutant(
        "a call ends once", CALLS,
        'f"state IN {in_states(states_before(AttemptState.ENDED))}")',
        '"1 = 1")',
        "store/test_calls.py::test_an_attempt_moves_only_as_the_table_of_moves_says",
    ),
    mutant(
        "late truth is recorded once", CALLS,
        "_end(connection, [row], GIVEN_UP)",
        '_end(connection, [row], "1 = 1")',
        "store/test_calls.py::test_late_truth_is_recorded_of_attempts_that_were_given_up_alone",
    ),
    mutant(
        "what is done is not cancelled", CALLS,
        'guard=f"status IN {in_states(statuses_before(ScheduleStatus.CANCELLED))}"',
        'guard="1 = 1"',
        "store/test_calls.py::test_a_move_changes_only_rows_in_the_state_it_leaves",
    ),
    mutant(
        "only rows in work are completed", CALLS,
        'guard=f"status IN {in_states(statuses_before(ScheduleStatus.COMPLETED))}"',
        'guard="1 = 1"',
        "store/test_calls.py::test_a_move_changes_only_rows_in_the_state_it_leaves",
    ),
    mutant(
        "only waiting rows are moved", CALLS,
        "same={\"updated_at\": now},\n        guard=\"status = 'pending'\"",
        'same={"updated_at": now},\n        guard="1 = 1"',
        "store/test_calls.py::test_a_move_changes_only_rows_in_the_state_it_leaves",
    ),
    mutant(
        "only rows in work are given back", CALLS,
        "**NO_LEASE},\n        guard=\"status = 'in_progress'\"",
        '**NO_LEASE},\n        guard="1 = 1"',
        "store/test_calls.py::test_a_move_changes_only_rows_in_the_state_it_leaves",
    ),
    mutant(
        "a dial whose lease ran out is looked up", "scheduler/service/upkeep.py",
        "report.expired += calls.mark_unknown(connection, [",
        "report.expired += calls.mark_refused(connection, {}) and len([",
        "service/test_upkeep.py::test_a_dial_whose_lease_ran_out_is_looked_up_at_once_and_never_given_back",
    ),
    mutant(
        "expired dials are found by their state", CALLS,
        "A.state == AttemptState.PLACING,\n            or_(S.lease_expires_at",
        "or_(S.lease_expires_at",
        "service/test_upkeep.py::test_a_call_that_is_known_stays_live_however_long_ago_its_lease_ran_out",
        also=[("scheduler/service/upkeep.py", ' if one.state == "placing"]', "]")],
    ),
    mutant(
        "a lease that has not run out is left alone", CALLS,
        "or_(S.lease_expires_at < now,",
        "or_(S.lease_expires_at.is_not(None),",
        "service/test_upkeep.py::test_a_dial_is_unknown_once_its_lease_has_run_out",
    ),
    # --- the take and the dial
    mutant(
        "nothing is sent after its budget", DISPATCH,
        "if asked >= job.send_before:",
        "if False:",
        "service/test_dispatch.py::test_a_dial_whose_budget_is_over_is_never_sent_and_not_spent",
    ),
    mutant(
        "a slot that was missed is not used", DISPATCH,
        "if job.has_slot and asked >",
        "if False and asked >",
        "service/test_dispatch.py::test_a_request_that_missed_its_slot_is_not_sent_and_not_spent",
    ),
    mutant(
        "no request before its slot", DISPATCH,
        "if (wait := job.send_after - boottime()) > 0:",
        "if (wait := 0.0) > 0:",
        "service/test_dispatch.py::test_no_request_is_sent_before_its_slot",
    ),
    mutant(
        "calls a second", "scheduler/rules/pacing.py",
        "        at += step\n",
        "        at += step / 4\n",
        ("rules/test_pacing.py::"
         "test_no_second_sees_more_requests_than_the_rate_however_late_in_their_slots_they_are_sent"),
    ),
    mutant(
        "the do-not-call list, at the take", DISPATCH,
        "barred = do_not_call.read_barred(self.connection, numbers, self.now, self.dispatcher.home)",
        "barred = {}",
        "service/test_dispatch.py::test_a_barred_number_is_passed_over_for_the_next_one",
    ),
    mutant(
        "the do-not-call list, at the dial", "scheduler/store/do_not_call.py",
        "if row.reading and row.telefono not in barred}",
        "if row.reading}",
        "service/test_dispatch.py::test_what_changed_since_the_take_is_not_dialed_and_not_spent",
    ),
    mutant(
        "entries that only a program can read, before they are read", "scheduler/store/do_not_call.py",
        "        unread(D.reading.between(1, UNSURE), MOST_UNREAD),",
        "        unread(D.reading == 99, MOST_UNREAD),",
        "service/test_do_not_call.py::test_an_entry_written_by_sql_bars_in_the_very_next_take",
    ),
    mutant(
        "more unread entries than one page", "scheduler/store/do_not_call.py",
        "        if len(unsure) < most:\n",
        "        if True:\n",
        "service/test_do_not_call.py::test_more_unread_entries_than_are_looked_at_in_one_go_all_bar",
    ),
    mutant(
        "what was read counts for one text alone", "migrations/versions/0041_read_entries_once.py",
        "CASE WHEN read_text = telefono THEN",
        "CASE WHEN read_text IS NOT NULL THEN",
        ("service/test_do_not_call.py::"
         "test_an_entry_changed_by_sql_bars_the_new_number_at_once_and_no_more_the_old_one"),
    ),
    mutant(
        "an entry that is no number holds and closes nobody", "scheduler/rules/eligibility.py",
        "        if doubts:\n",
        "        if False:\n",
        ("service/test_do_not_call.py::"
         "test_an_entry_that_is_no_number_holds_what_it_could_mean_until_it_is_put_right"),
    ),
    mutant(
        "possible is not a number", "scheduler/rules/phones.py",
        "        refused = _why_unlike(code, national)\n",
        "        refused = None\n",
        "rules/test_spellings.py::test_what_is_possible_and_no_number_is_refused_with_the_reason",
    ),
    mutant(
        "a national entry bars in each country", "scheduler/rules/phones.py",
        "for reading in (at_home, read_number(text, country)):",
        "for reading in (at_home,):",
        "rules/test_spellings.py::test_an_entry_means_a_number_or_could",
    ),
    mutant(
        "everything paused, at the take", DISPATCH,
        "if rules.policy(None).is_paused:",
        "if False:",
        "service/test_limits.py::test_nothing_is_dialed_while_everything_is_paused",
    ),
    mutant(
        "a stop that cannot be read", "scheduler/rules/policy.py",
        "        values[STOP], texts[STOP] = True, \"yes\"\n",
        "        pass\n",
        "service/test_limits.py::test_whatever_is_not_clearly_no_pauses_everything",
    ),
    mutant(
        "a stop in whatever words, at the dial", CALLS,
        "value.not_in(CLEARLY_NO)",
        "value == \"yes\"",
        "service/test_limits.py::test_the_last_look_before_a_dial_reads_the_stop_as_the_take_does",
    ),
    mutant(
        "hours past midnight that nobody confirmed", "scheduler/rules/policy.py",
        "if nights and not self.overnight:",
        "if False:",
        "rules/test_policy.py::test_hours_past_midnight_are_taken_only_when_they_are_said_to_be_meant",
    ),
    mutant(
        "the clocks of a region that no table knows", "scheduler/rules/zones.py",
        "if code and clocks and suggested and (\"-\" in code or code != own):",
        "if False:",
        "rules/test_zones.py::test_a_region_goes_before_the_number_and_a_bare_country_after_it",
    ),
    mutant(
        "the holidays of what a province lies in", "scheduler/rules/holiday_calendars.py",
        "for place in (*lineage(region), region):",
        "for place in (region,):",
        "rules/test_subdivisions.py::test_every_spanish_province_keeps_the_holidays_of_its_community",
    ),
    mutant(
        "a line break in a name, in the log", "scheduler/events.py",
        "line = Line(at, level, kind, one_line(text))",
        "line = Line(at, level, kind, text)",
        "cli/test_output.py::test_a_name_forges_no_line_of_a_log",
    ),
    mutant(
        "everything paused, at the dial", CALLS,
        "            is_anything_called(),\n        )\n    )\n    return read_callable",
        "        )\n    )\n    return read_callable",
        "service/test_dispatch.py::test_what_changed_since_the_take_is_not_dialed_and_not_spent",
    ),
    mutant(
        "a campaign paused, at the dial", CALLS,
        "or_(S.campaign_id.is_(None), C.status == CampaignStatus.ACTIVE),\n            is_anything_called",
        "is_anything_called",
        "service/test_dispatch.py::test_what_changed_since_the_take_is_not_dialed_and_not_spent",
    ),
    mutant(
        "a lead closed, at the dial", CALLS,
        "or_(L.lead_status.is_(None), L.lead_status == LeadStatus.OPEN),\n            or_(L.manual",
        "or_(L.manual",
        "service/test_dispatch.py::test_what_changed_since_the_take_is_not_dialed_and_not_spent",
    ),
    mutant(
        "a lead managed by hand, at the dial", CALLS,
        "or_(L.manual_management.is_(None), L.manual_management.is_(False)),\n            or_(S.camp",
        "or_(S.camp",
        "service/test_dispatch.py::test_what_changed_since_the_take_is_not_dialed_and_not_spent",
    ),
    mutant(
        "a pause waits for a take under way", CALLS,
        ".order_by(C.id)\n        .with_for_update(skip_locked=True)",
        ".order_by(C.id)",
        "store/test_calls.py::test_a_pause_waits_for_a_take_and_no_take_follows_it",
    ),
    mutant(
        "a campaign paused meanwhile is not taken from", DISPATCH,
        'key in locked and locked[key].status == "active"',
        "key in locked",
        "service/test_dispatch.py::test_a_campaign_paused_by_sql_in_the_middle_of_a_take_is_not_taken_from",
    ),
    mutant(
        "takes follow one another", CALLS,
        "(c.config_key == CAPACITY_KEY).with_for_update()",
        "(c.config_key == CAPACITY_KEY)",
        "store/test_calls.py::test_takes_of_two_daemons_follow_one_another",
    ),
    mutant(
        "rows that others hold are passed by", CALLS,
        (".limit(limit)\n        .with_for_update(skip_locked=True)\n    )\n    return [_due_call(row) "
         "for row in rows]"),
        ".limit(limit)\n    )\n    return [_due_call(row) for row in rows]",
        "store/test_calls.py::test_a_take_passes_by_the_rows_that_another_one_holds",
    ),
    mutant(
        "calls at once, over all", DISPATCH,
        'max(0, rules.config.get("max_concurrent_calls", 20) - in_flight.total)',
        "self.places",
        "service/test_dispatch.py::test_no_more_calls_than_max_concurrent_calls_are_open_over_all_daemons",
    ),
    mutant(
        "calls at once, of a campaign", DISPATCH,
        "room = min(room, policy.settings.max_concurrent_calls - in_flight.by_campaign.get(one.id, 0))",
        "pass",
        "service/test_limits.py::test_calls_at_once_stay_within_each_limit",
    ),
    mutant(
        "calls at once, of an account", DISPATCH,
        "rooms[name] = account.max_concurrent_calls - in_flight.by_account.get(account_id, 0)",
        "pass",
        "service/test_limits.py::test_calls_at_once_stay_within_each_limit",
    ),
    mutant(
        "calls at once, of a provider", DISPATCH,
        "room = most - ours if room is None else min(room, most - ours)",
        "pass",
        "service/test_limits.py::test_calls_at_once_stay_within_each_limit",
    ),
    mutant(
        "one call at a time to a number, within a take", DISPATCH,
        "engaged.numbers.add(number)\n",
        "pass\n",
        "service/test_dispatch.py::test_two_leads_with_one_number_are_never_dialed_at_once",
        also=[(ATTEMPTS, 'sa.UniqueConstraint("telefono", "open_mark", name="uq_call_attempts_open_phone"),', "")],
    ),
    mutant(
        "one call at a time to a number, over campaigns", "scheduler/rules/eligibility.py",
        "if case.phone is not None and case.phone.number in case.engaged:",
        "if False:",
        "service/test_dispatch.py::test_a_number_that_another_campaign_is_calling_waits",
        also=[(ATTEMPTS, 'sa.UniqueConstraint("telefono", "open_mark", name="uq_call_attempts_open_phone"),', "")],
    ),
    mutant(
        "caps count what this take has chosen", DISPATCH,
        "history.add(lead, number, policy, self.now)",
        "pass",
        "service/test_limits.py::test_a_call_in_progress_that_may_use_up_a_cap_is_waited_for",
    ),
    mutant(
        "caps count calls in progress", "scheduler/rules/eligibility.py",
        "if any(call.outcome is None for call in case.history):",
        "if False:",
        "service/test_limits.py::test_a_call_in_progress_that_may_use_up_a_cap_is_waited_for",
    ),
    mutant(
        "balance counts what this take has chosen", DISPATCH,
        "self.balances[campaign.account_id] -= case.funds.expected",
        "pass",
        "service/test_limits.py::test_two_campaigns_of_one_account_never_overdraw_it_together",
    ),
    mutant(
        "the balance pays for so many calls", "scheduler/rules/billing.py",
        "return max(0, int(account.balance // expected))",
        "return None",
        "service/test_limits.py::test_two_campaigns_of_one_account_never_overdraw_it_together",
        "service/test_limits.py::test_without_balance_leads_wait_where_they_are_and_go_on_after_a_top_up",
    ),
    mutant(
        "what a call may cost is set aside", "scheduler/store/accounts.py",
        "EntryKind.RESERVE, -one.amount,",
        "EntryKind.RESERVE, 0 * one.amount,",
        "store/test_accounts.py::test_what_is_set_aside_leaves_the_balance_and_comes_back_less_what_the_call_cost",
    ),
    mutant(
        "calling hours", "scheduler/rules/eligibility.py",
        '    Question("inside calling hours?", _inside_hours),\n',
        "",
        "service/test_dispatch.py::test_a_lead_waits_for_its_own_morning",
    ),
    mutant(
        "nothing is taken that could leave after closing", "scheduler/rules/eligibility.py",
        "case.now + case.dial_budget <= span.open_until",
        "case.now <= span.open_until",
        "rules/test_eligibility.py::test_a_dial_must_be_able_to_begin_before_closing",
    ),
    mutant(
        "the margin before closing", "scheduler/rules/hours.py",
        "if not margin:",
        "if True:",
        "rules/test_hours.py::test_with_a_margin_the_last_allowed_instant_is_that_long_before_closing",
    ),
    mutant(
        "a provider in trouble is left alone", "scheduler/rules/pacing.py",
        "            return 0\n        return None if self.pace",
        "            return None\n        return None if self.pace",
        "service/test_breakers.py::test_one_daemons_bad_news_is_every_daemons",
    ),
    mutant(
        "after its rest a provider is probed", "scheduler/rules/pacing.py",
        "return None if self.pace is None else max(0, self.pace - in_flight)",
        "return None",
        ("service/test_breakers.py::"
         "test_after_its_rest_one_probe_goes_out_between_all_daemons_and_a_good_answer_closes_it"),
    ),
    # --- what became of a call
    mutant(
        "not found is believed after the settle time", FOLLOW,
        "if now >= settled and one",
        "if one",
        "service/test_follow.py::test_not_found_concludes_nothing_before_the_settle_time",
    ),
    mutant(
        "not found is believed after three looks", FOLLOW,
        "now >= settled and one.lookups + 1 >= LOOKS_NEEDED",
        "now >= settled",
        "service/test_follow.py::test_not_found_after_the_settle_time_needs_three_looks",
    ),
    mutant(
        "another attempt's call is not taken for its own", FOLLOW,
        "if holder not in (None, one.id):",
        "if False:",
        "service/test_inbox.py::test_the_call_of_another_attempt_is_not_taken_for_ones_own",
    ),
    mutant(
        "a start request is not repeated", "scheduler/providers/http_client.py",
        '            return Unanswered(f"the answer to the start request was lost: {name_of(error)}")',
        "            return self.ask(method, path, **content)",
        "providers/test_http_client.py::test_a_server_that_says_nothing_is_unanswered_by_the_deadline",
    ),
    mutant(
        "what may have been sent is not taken for unsent", "scheduler/providers/http_client.py",
        'return Unanswered(f"the answer to the start request was lost: {name_of(error)}")',
        "return Refused(RefusalKind.NEVER_SENT, name_of(error))",
        "providers/test_http_client.py::test_a_server_that_says_nothing_is_unanswered_by_the_deadline",
    ),
    mutant(
        "a commit without its answer is not taken for done", "scheduler/store/database.py",
        'raise CommitUnclear(f"{self}: the connection broke while committing ({cause})") from error',
        "return result",
        "store/test_database.py::test_nobody_is_dialed_on_an_intent_whose_commit_is_unclear",
    ),
    mutant(
        "a late call is written down", DISPATCH,
        "if one.may_have_left and self._is_late(one)]",
        "if False]",
        "service/test_dispatch.py::test_a_request_sent_too_late_is_written_down_as_late",
    ),
    mutant(
        "a late answer of any kind is written down", "scheduler/service/dispatch.py",
        "return one.was_late or self._placed_at(one) > one.job.dial_before",
        "return self._placed_at(one) > one.job.dial_before and not isinstance(one.answer, Refused)",
        "service/test_dispatch.py::"
        "test_a_late_request_is_said_whatever_was_answered_and_whoever_settled_its_attempt",
    ),
    mutant(
        "the clock is looked at after the send", "scheduler/providers/http_client.py",
        "                    sending.note()\n",
        "",
        "providers/test_sending.py::"
        "test_one_that_is_stopped_in_the_last_moment_knows_it_and_still_hears_the_id_of_its_call",
    ),
    mutant(
        "the clock is looked at before each piece of a request", "scheduler/providers/http_client.py",
        "                    sending.look()\n",
        "                    sending.has_begun = True\n",
        "providers/test_sending.py::test_nothing_leaves_after_the_limit",
        also=(("scheduler/providers/http_client.py",
               "boottime() >= min(sending.send_before, sending.over_by)", "False"),
              ("scheduler/providers/http_client.py", "at = min(at, sending.send_before)", "pass")),
    ),
    mutant(
        "the wait for an answer begins with the dial", "scheduler/providers/http_client.py",
        "self.at = boottime() + seconds if sending is None else sending.over_by",
        "self.at = boottime() + seconds",
        "providers/test_sending.py::test_the_wait_for_the_answer_began_with_the_last_look_at_the_clock",
    ),
    mutant(
        "a late request whose answer was lost is looked for where it was given up", DISPATCH,
        "        calls.search_again(self.connection, ids, self.now)\n",
        "",
        "service/test_dispatch.py::"
        "test_a_late_request_is_said_whatever_was_answered_and_whoever_settled_its_attempt",
    ),
    mutant(
        "a late call that is found live is hung up", FOLLOW,
        "elif report is not None and one.was_late:",
        "elif False:",
        "service/test_dispatch.py::"
        "test_a_late_request_is_said_whatever_was_answered_and_whoever_settled_its_attempt",
    ),
    mutant(
        "not found is not believed while somebody may still send", FOLLOW,
        "if report is None and self._may_still_be_sent(one, claimers):",
        "if False:",
        "service/test_claimers.py::test_not_found_is_believed_only_when_nobody_may_still_send_it",
    ),
    mutant(
        "a claimer that woke just now is given the time of a request", FOLLOW,
        "if one.lookups == 0 and _is_guess(one):",
        "if False:",
        "service/test_claimers.py::"
        "test_a_claimer_that_woke_just_now_has_the_time_of_a_request_before_it_is_believed",
    ),
    mutant(
        "a process id alone does not say who lives", "scheduler/service/claimers.py",
        "return mark_of(row.pid, proc) != row.process_mark",
        "return mark_of(row.pid, proc) is None",
        "service/test_claimers.py::test_another_process_with_its_id_does_not_stand_in_for_it",
    ),
    mutant(
        "a container's ids are its own", "scheduler/service/claimers.py",
        "if theirs == ours:",
        "if theirs.split()[:2] == ours.split()[:2]:",
        "service/test_claimers.py::test_a_container_with_ids_of_its_own_says_nothing_of_processes_in_another",
    ),
    mutant(
        "a name is not waited for without an end", "scheduler/providers/names.py",
        "if left <= 0:",
        "if False:",
        "providers/test_names.py::test_a_name_that_hangs_is_waited_for_as_long_as_was_agreed",
    ),
    mutant(
        "a process that ends waits for no name", "scheduler/providers/names.py",
        "self._is_ending = is_ending",
        "pass",
        "providers/test_names.py::test_a_process_that_ends_waits_for_no_name",
    ),
    mutant(
        "a late call is hung up at once", DISPATCH,
        "                self._hang_up_late([dialed], self._host_now())",
        "                pass",
        "service/test_dispatch.py::test_a_late_call_is_hung_up_though_the_database_is_away",
    ),
    mutant(
        "a late call is hung up", DISPATCH,
        "self._hang_up_late([one for one in batch if not one.was_late and (one in late or one in given_up)], now)",
        "pass",
        "service/test_dispatch.py::test_a_call_made_for_an_attempt_that_was_given_up_is_hung_up_and_owned_up_to",
    ),
    mutant(
        "a word that nobody knows is no success, HTTP dialer", "scheduler/providers/http_dialer.py",
        "return _End(outcome or Outcome.FAILED)",
        "return _End(outcome or Outcome.COMPLETED)",
        "providers/test_http_dialer.py::test_an_unknown_word_with_a_sign_of_an_end_is_a_failure_and_is_kept",
    ),
    mutant(
        "a word that nobody knows is no success, Retell", "scheduler/providers/retell.py",
        "    return outcome or Outcome.FAILED, outcome is not None\n\n",
        "    return outcome or Outcome.COMPLETED, True\n\n",
        "providers/test_retell.py::test_statuses_without_a_reason_and_unknown_words",
    ),
    mutant(
        "a word that nobody knows is no success, NLPearl", "scheduler/providers/nlpearl.py",
        "outcome or Outcome.FAILED, word, known_word=outcome is not None",
        "outcome or Outcome.COMPLETED, word",
        "providers/test_nlpearl.py::test_a_word_nobody_knows_is_a_failure_with_its_word_kept",
    ),
    # --- webhooks
    mutant(
        "Retell's signature", "scheduler/providers/retell.py",
        "if not any(fits):",
        "if False:",
        "providers/test_retell.py::test_a_signature_fits_one_body_alone",
    ),
    mutant(
        "Retell's signature is of now", "scheduler/providers/retell.py",
        "if abs(age - timedelta(milliseconds=int(written))) > SIGNATURE_AGE:",
        "if False:",
        "providers/test_retell.py::test_a_signature_of_another_time_is_rejected",
    ),
    mutant(
        "Twilio's signature", "scheduler/providers/twilio.py",
        'return hmac.compare_digest(base64.b64encode(digest), given.strip().encode("utf-8", "replace"))',
        "return True",
        "providers/test_twilio.py::test_a_missing_or_wrong_signature_proves_nothing",
    ),
    mutant(
        "Twilio's signed body", "scheduler/providers/twilio.py",
        'if not hmac.compare_digest(digest.encode(), given.lower().encode("utf-8", "replace")):',
        "if False:",
        "providers/test_twilio.py::test_a_json_body_is_proven_by_its_hash_in_the_address",
    ),
    mutant(
        "NLPearl's secret", "scheduler/providers/nlpearl.py",
        'hmac.compare_digest(one.encode("utf-8", "surrogatepass"), secret) for one in given',
        "True for one in given",
        "providers/test_nlpearl.py::test_without_the_secret_a_webhook_is_turned_away_before_it_is_read",
    ),
    mutant(
        "HTTP dialer's signature", "scheduler/providers/http_dialer.py",
        'hmac.compare_digest(right.encode(), one.encode("utf-8", "replace")) for one in candidates',
        "True for one in candidates",
        "providers/test_http_dialer.py::test_a_signature_that_does_not_fit_is_refused",
    ),
    mutant(
        "HTTP dialer's signature is of now", "scheduler/providers/http_dialer.py",
        "if abs(now.timestamp() - int(at)) > REPLAY_WINDOW.total_seconds():",
        "if False:",
        "providers/test_http_dialer.py::test_a_signature_is_not_believed_outside_its_window",
    ),
    mutant(
        "a crash of Asterisk proves nothing", ASTERISK,
        "or up_for < now - call.placed_at + BOOT_MARGIN:",
        ":",
        "providers/test_asterisk.py::test_no_record_proves_nothing_where_asterisk_was_started_since",
    ),
    mutant(
        "records that Asterisk does not write prove nothing", ASTERISK,
        "if witnesses and not recorded:",
        "if False:",
        "providers/test_asterisk.py::test_no_record_proves_nothing_where_no_call_that_ended_has_one",
    ),
    mutant(
        "a 503 of a proxy before Asterisk proves nothing", ASTERISK,
        '(answer.headers.get("Server") or "").startswith("Asterisk")',
        'answer.headers is not None',
        "providers/test_asterisk.py::test_a_503_of_asterisk_itself_proves_that_nothing_was_dialed",
    ),
    mutant(
        "Asterisk's calls are heard by the references that they have", ASTERISK,
        "[47][0-9a-f]{3}",
        "4[0-9a-f]{3}",
        "providers/test_asterisk.py::test_what_is_heard_of_a_reference_as_ringback_makes_them_is_an_event",
    ),
    mutant(
        "a dead trunk of Asterisk spends no attempt", ASTERISK,
        'if told.get("silent") is True:',
        "if False:",
        "providers/test_asterisk.py::test_a_dead_trunk_spends_no_attempt",
    ),
    mutant(
        "a trunk of Asterisk that tells of no ringing rings nobody for ever", ASTERISK,
        "return count <= MOST_SILENCES",
        "return True",
        "providers/test_asterisk.py::test_a_number_that_is_silent_again_and_again_did_not_answer",
    ),
    mutant(
        "nothing is dialed over Asterisk where nobody would talk", ASTERISK,
        "        missing = self._places.missing(destination)\n        if missing is not None:",
        "        missing = self._places.missing(destination)\n        if missing == '':",
        "providers/test_asterisk.py::test_nothing_is_dialed_into_a_place_that_the_dialplan_has_not",
    ),
    mutant(
        "Asterisk's maximum counts from the answer", ASTERISK,
        "                if known.most is not None:",
        "                if False:",
        "providers/test_asterisk.py::test_a_call_is_hung_up_at_its_maximum_counted_from_the_answer",
    ),
    mutant(
        "unreadable records of Asterisk keep no call", ASTERISK,
        "records, patience = {}, UNREADABLE_FOR",
        "return",
        "providers/test_asterisk.py::test_records_that_cannot_be_read_conclude_nothing_at_once_and_are_told_of",
    ),
    mutant(
        "Asterisk's own file of records is not written", "scheduler/store/cdr.py",
        "?mode=ro",
        "?mode=rwc",
        "store/test_cdr.py::test_a_file_that_is_not_there_is_not_made",
    ),
    mutant(
        "a call of which nothing is proven is none that was never made", FOLLOW,
        "if report is None and not proves:",
        "if report is None and not provider.finds_by_ref:",
        "service/test_follow.py::test_a_call_of_which_nothing_is_proven_this_time_is_none_that_was_never_made",
    ),
    mutant(
        "a start that is accepted says nothing of a line without a way", "scheduler/service/breakers.py",
        "case Accepted() if self._outages.get(one.provider):",
        "case Accepted() if one.provider is None:",
        "service/test_breakers.py::test_starts_that_are_accepted_say_nothing_of_a_line_that_has_no_way",
    ),
    mutant(
        "events of calls that are not ours are not taken in", "scheduler/service/inbox.py",
        "[one for one in events if one.attempt_ref in ours]",
        "events",
        "service/test_inbox.py::test_events_of_calls_that_are_not_ours_are_not_taken_in",
    ),
    mutant(
        "an event is applied once", "scheduler/store/inbox.py",
        "return E.processed_at.is_(None), or_(",
        "return E.id > 0, or_(",
        "service/test_inbox.py::test_processed_events_are_forgotten_after_a_month",
        "service/test_inbox.py::test_an_event_is_applied_once_however_often_it_comes",
    ),
    mutant(
        "an event is marked where it is applied", "scheduler/service/inbox.py",
        "inbox.settle_events(connection, self.settled, self.now)",
        "pass",
        "service/test_inbox.py::test_processed_events_are_forgotten_after_a_month",
    ),
    mutant(
        "a second call for one request changes nothing", "scheduler/service/inbox.py",
        "is_other = bool(event.call_id and known_id and event.call_id != known_id)",
        "is_other = False",
        "service/test_inbox.py::test_a_second_call_for_one_request_is_told_and_changes_nothing",
    ),
    # --- people and programs that ask
    mutant(
        "a repeated request is not done again", "scheduler/store/idempotency.py",
        "if row.answer_status is not None:",
        "if False:",
        "web/api/test_idempotency.py::test_a_refusal_is_replayed_too_and_what_is_no_key_is_refused",
    ),
    mutant(
        "a key is not used for another request", "scheduler/store/idempotency.py",
        "if row.request_sha256 != request_sha256 or row.idempotency_key != key:",
        "if False:",
        "web/api/test_idempotency.py::test_a_key_that_was_used_for_another_request_is_refused",
    ),
    mutant(
        "If-Match", "scheduler/web/api/campaigns.py",
        'if is_stale(request.headers.get("if-match"),',
        "if False and is_stale(None,",
        "web/api/test_campaigns.py::test_an_edit_of_a_campaign_that_was_changed_meanwhile_is_refused",
    ),
    mutant(
        "an API key's secret", "scheduler/service/access.py",
        "if found is None or not hmac.compare_digest(found.secret_sha256, _digest(parts[2])):",
        "if found is None:",
        "service/test_access.py::test_a_key_that_differs_anywhere_is_not_valid",
    ),
    mutant(
        "a form that another site sent", "scheduler/web/access.py",
        'hmac.compare_digest(own.encode(), written.encode("utf-8", "replace"))',
        "True",
        "web/test_access.py::test_what_comes_with_a_session_needs_its_token_in_header_or_form",
    ),
    # --- the daemon
    mutant(
        "a host whose clock is off dials nothing", "scheduler/service/daemon.py",
        "self._is_skewed = off > SKEW_STOP",
        "self._is_skewed = False",
        "service/test_daemon.py::test_a_daemon_whose_host_is_an_hour_off_the_databases_clock_dials_nothing",
    ),
    mutant(
        "nothing is dialed from an older database", "scheduler/service/recovery.py",
        "elif found.ticks < ticks:",
        "elif False:",
        "service/test_daemon.py::test_a_daemon_dials_nothing_from_a_database_that_is_older_than_what_it_has_done",
        also=(("scheduler/service/daemon.py", "if before < known:", "if False:"),),
    ),
    mutant(
        "a claimed attempt is still there in the next take", RECOVERY,
        "elif mark is not None and mark.epoch >= found.epoch and mark.ref != found.ref:",
        "elif False:",
        "service/test_recovery.py::test_the_very_next_take_notices_that_a_claimed_attempt_is_gone",
        "service/test_recovery.py::test_a_daemon_that_starts_later_on_this_host_notices_it_too",
    ),
    mutant(
        "a daemon whose row is gone dials nothing", RECOVERY,
        "if found.ticks is None:",
        "if False:",
        "service/test_daemon.py::test_a_daemon_whose_row_is_gone_dials_nothing_until_somebody_says_so",
        also=((
            "scheduler/service/daemon.py",
            'self._hold("it does not know this daemon any more")\n            ',
            "",
        ),),
    ),
    mutant(
        "one that noticed holds every other daemon", RECOVERY,
        "if found.is_open:",
        "if False:",
        "service/test_recovery.py::test_while_one_has_noticed_nobody_takes_anything",
    ),
    mutant(
        "calls that a provider lists are known before the first dial", RECOVERY,
        "            if missing:\n",
        "            if False:\n",
        "service/test_recovery.py::test_a_listing_that_knows_more_holds_before_the_first_dial",
    ),
    mutant(
        "nothing goes on before what is under way was listed", RECOVERY,
        "and now >= found.noticed_at + settle",
        "",
        "service/test_recovery.py::test_it_goes_on_once_every_lost_call_is_an_attempt_and_no_more_can_come",
    ),
    mutant(
        "a lost call of no lead waits for people", RECOVERY,
        "        if unplaced:\n",
        "        if False:\n",
        "service/test_recovery.py::test_a_call_of_no_lead_waits_for_people",
    ),
    mutant(
        "an event about a lost call holds everything", "scheduler/service/inbox.py",
        "self._hear_lost(turn.unknown)",
        "pass",
        "service/test_recovery.py::"
        "test_an_event_about_a_call_of_ours_that_no_attempt_has_holds_everything_and_becomes_an_attempt",
    ),
    mutant(
        "nothing is dialed from a file without a name", "scheduler/store/database.py",
        "if known is not None and found != known:",
        "if False:",
        "store/test_database.py::test_a_file_that_is_deleted_or_replaced_while_it_is_open_is_named",
    ),
    mutant(
        "no dial waits for whoever reads the log", "scheduler/events.py",
        "elif not self._speaker.put(line):",
        "elif self._speak(line):",
        "test_speaker.py::test_a_reader_who_does_not_read_stops_nobody",
    ),
    mutant(
        "a clock that went back accuses no right call", "scheduler/store/reports.py",
        'SAME_CLOCK.format("a.claimed_at", "l.closed_at")',
        '""',
        "store/test_clock_steps.py::test_what_the_clock_showed_twice_is_not_judged_by_its_order",
    ),
    mutant(
        "a polite stop takes nothing new", DISPATCH,
        '"""Take nothing new. Dials in flight finish; see `drain`."""\n        self._stopping.set()',
        "pass",
        "service/test_dispatch.py::test_a_stopped_dispatcher_takes_nothing_new",
    ),
    # --- what a file of leads says
    mutant(
        "file: hidden rows call nobody", "scheduler/service/spreadsheets.py",
        "if is_hidden and not self._takes_hidden:",
        "if False:",
        "service/test_file_kinds.py::test_rows_that_a_filter_hides_are_left_out_and_said_unless_they_are_asked_for",
    ),
    mutant(
        "file: a number of a spreadsheet is that number", "scheduler/rules/people.py",
        "    if isinstance(cell, NumberCell):\n        return _read_decimal(cell)",
        "    if False:\n        return _read_decimal(cell)",
        "service/test_file_kinds.py::test_amounts_are_added_up_as_their_column_writes_them",
    ),
    mutant(
        "file: a number with decimals is nobody", "scheduler/rules/people.py",
        "(isinstance(cell, NumberCell) and not cell.strip().isdigit())",
        "False",
        "service/test_file_kinds.py::test_a_number_of_a_spreadsheet_with_decimals_is_no_identity",
    ),
    mutant(
        "file: two currencies are no sum", "scheduler/rules/people.py",
        "if faulty is None and len(units) > 1:",
        "if False:",
        "service/test_file_kinds.py::test_amounts_are_added_up_as_their_column_writes_them",
    ),
    mutant(
        "file: a row has an end", "scheduler/service/csv_files.py",
        "if self.taken > LONGEST_RECORD:",
        "if False:",
        "service/test_file_kinds.py::test_a_file_of_very_many_columns_is_refused_before_they_are_read",
    ),
    mutant(
        "file: a header has few columns", "scheduler/rules/headers.py",
        "if columns > MOST_COLUMNS:",
        "if False:",
        "rules/test_headers.py::test_a_header_of_very_many_columns_is_refused_at_once",
    ),
    mutant(
        "file: a row of data is no header", "scheduler/rules/headers.py",
        "if len(cells) > MOST_COLUMNS or any(map(_is_value, cells)):",
        "if len(cells) > MOST_COLUMNS:",
        "rules/test_headers.py::test_a_row_with_a_number_in_it_is_no_header_although_a_cell_of_it_names_a_phone",
    ),
    mutant(
        "file: half UTF-8 is not guessed at", "scheduler/service/csv_files.py",
        "if _LETTER.search(before + block):",
        "if False:",
        "service/test_file_kinds.py::test_a_file_that_is_half_utf_8_is_no_old_windows_file",
    ),
    mutant(
        "file: a date that can be two days is none", "scheduler/rules/dates.py",
        "if shown is None and order is None:",
        "if False:",
        "rules/test_dates.py::test_what_means_two_days_or_none_is_refused_with_what_would_be_right",
    ),
    mutant(
        "file: a column that contradicts itself tells nothing", "scheduler/rules/conventions.py",
        "if found is None and not column.shown:",
        "if found is None:",
        "service/test_file_kinds.py::test_a_date_that_can_be_two_is_read_as_its_column_and_said",
    ),
    mutant(
        "a day that somebody named is not today", "scheduler/providers/payloads.py",
        " or _first_day(told, _CALLBACK, said_on)",
        "",
        "providers/test_payloads.py::test_a_callback_on_a_day_is_meant_for_the_morning_of_that_day_and_never_for_today",
    ),
    # --- what an account may use
    mutant(
        "an account bars numbers for itself alone", "scheduler/service/outcomes.py",
        "    if account_id is not None:\n        leads.bar_for_account",
        "    if False:\n        leads.bar_for_account",
        "web/api/test_scoping.py::test_what_a_key_of_an_account_says_of_a_number_bars_it_for_that_account_alone",
    ),
    mutant(
        "an account does not call what it was asked not to", "scheduler/service/dispatch.py",
        "            if own:  # what is certain",
        "            if False:  # what is certain",
        "web/api/test_scoping.py::test_what_a_key_of_an_account_says_of_a_number_bars_it_for_that_account_alone",
        also=((CALLS, "            O.id.is_(None),\n", ""),),
    ),
    mutant(
        "an account does not call what it was asked not to, at the dial", CALLS,
        "            O.id.is_(None),\n",
        "",
        "service/test_dispatch.py::test_what_an_account_was_asked_since_the_take_is_not_dialed",
    ),
    mutant(
        "nobody is called beside a second call", CALLS,
        "            second_calls.c.next_poll_at.is_not(None), second_calls.c.ended_at.is_(None),\n",
        "            second_calls.c.next_poll_at.is_(None), second_calls.c.ended_at.is_(None),\n",
        "service/test_inbox.py::test_nobody_is_called_again_while_a_second_call_goes_on",
    ),
    mutant(
        "our own hang-up closes no lead", "scheduler/service/operations.py",
        "    runtime.database.transact(work)\n    try:\n        was_there = provider.hang_up",
        "    try:\n        was_there = provider.hang_up",
        "service/test_operations.py::test_a_call_that_we_hang_up_is_no_wish_of_somebody_else_however_soon_its_end_is_told",
    ),
    mutant(
        "a code is good once", "scheduler/service/second_factor.py",
        "if is_right and (last_step is None or step > last_step):",
        "if is_right:",
        "service/test_second_factor.py",
    ),
    mutant(
        "an account chooses from its list", "scheduler/service/allowances.py",
        "if not _may(kind, value, listed):",
        "if False:",
        "web/api/test_scoping.py::test_what_an_account_may_use_is_a_list_whatever_the_door",
    ),
    mutant(
        "only an admin of everything keeps the list", "scheduler/web/api/accounts.py",
        "body: AllowancesSet) -> Any:\n    \"\"\"List what the keys of an account may choose. Campaigns keep what they"
        " have.\"\"\"\n    require_everything(caller)",
        "body: AllowancesSet) -> Any:\n    \"\"\"List what the keys of an account may choose.\"\"\"",
        "web/api/test_scoping.py::test_the_list_is_an_admins_affair",
    ),
    # --- before there is anybody
    mutant(
        "to come from this machine opens nothing", "scheduler/web/access.py",
        "if not door.opening.lets_in(request.cookies.get(OPENED_COOKIE)):",
        "if False:",
        "web/test_access.py::test_before_the_first_user_a_plain_proxy_lets_nobody_in",
    ),
    mutant(
        "the link is good once", "scheduler/web/access.py",
        "if self._given is not None or not _is_same(link, self.link):",
        "if not _is_same(link, self.link):",
        "web/test_access.py::test_the_link_of_the_terminal_lets_one_browser_in_once",
    ),
    # --- what strangers may send to webhooks
    mutant(
        "a webhook's headers are looked at before its body", "scheduler/web/webhooks.py",
        "await run_in_threadpool(webhooks.glance, provider, hook)",
        "pass",
        "web/test_webhooks.py::test_what_the_headers_show_to_be_no_webhook_is_refused_before_its_body",
    ),
    mutant(
        "slow bodies make room", "scheduler/web/webhooks.py",
        "self._break_off(own[0])",
        "raise Crowded",
        "web/test_webhooks.py::test_slow_strangers_keep_no_webhook_out",
    ),
    mutant(
        "large bodies share a bounded memory", "scheduler/web/webhooks.py",
        "elif held.total() > LARGE_TOGETHER:",
        "elif False:",
        "web/test_webhooks.py::test_large_bodies_that_trickle_share_a_bounded_memory",
    ),
    mutant(
        "strangers are not told what is set up", "scheduler/web/webhooks.py",
        "UNPROVEN if error.status == HTTPStatus.UNAUTHORIZED else str(error)",
        "str(error)",
        "web/test_webhooks.py::test_strangers_are_not_told_which_providers_are_set_up",
    ),
)


# --- what does not fit --------------------------------------------------------------------------


def complaints(one: Mutant, root: Path = ROOT) -> Iterator[str]:
    """Why this entry does not fit the tree any more."""
    for path, right, broken in one.edits:
        file = root / path
        if not file.is_file():
            yield f"{one.guard}: there is no {path}"
            continue
        found = file.read_text().count(right)
        if found != 1:
            yield f"{one.guard}: {path} has this text {found} times, not once:\n    {right}"
        elif right == broken:
            yield f"{one.guard}: the broken text is the right one"
        else:
            try:
                compile(file.read_text().replace(right, broken), path, "exec")
            except SyntaxError as error:
                yield f"{one.guard}: {path} would be no Python any more: {error}"
    if not one.tests:
        yield f"{one.guard}: no test is named"
    for test in one.tests:
        path, *names = test.split("::")
        if not (root / path).is_file():
            yield f"{one.guard}: there is no {path}"
        elif missing := [name for name in names if f" {name}(" not in f" {(root / path).read_text()}"]:
            yield f"{one.guard}: {path} has no {missing[0]}"


# --- running ------------------------------------------------------------------------------------


class Copy:
    """A copy of the tree in which one guard at a time is broken."""

    _stamps = itertools.count(int(time.time()) + 1000)

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / name, folder / name)
        self._environment = {**environment, "PYTHONPYCACHEPREFIX": str(folder / "pyc")}

    def write(self, path: str, text: str) -> None:
        """With a time of its own, or Python would take what it has compiled before for this."""
        (self.folder / path).write_text(text)
        stamp = next(self._stamps)
        os.utime(self.folder / path, (stamp, stamp))

    def try_out(self, one: Mutant, options: Sequence[str] = ("-x",)) -> Result:
        began = time.monotonic()
        before = {path: (self.folder / path).read_text() for path, _, _ in one.edits}
        try:
            for path, right, broken in one.edits:
                self.write(path, (self.folder / path).read_text().replace(right, broken))
            done = self.run(one.tests, [f"--timeout={LOOPS}", *options])
        finally:
            for path, text in before.items():
                self.write(path, text)
        failed = [line.split(" ")[1] for line in done.splitlines() if line.startswith("FAILED ")]
        errors = [line for line in done.splitlines() if line.startswith("ERROR ")]
        seconds = time.monotonic() - began
        if failed:
            return Result("red", "\n".join(failed), seconds)
        if errors or " passed" not in done:  # the tests could not be run, which proves nothing
            return Result("ERROR", (errors or done.splitlines() or [""])[-1][:200], seconds)
        return Result("GREEN", done.splitlines()[-1], seconds)

    def run(self, tests: Sequence[str], options: Sequence[str]) -> str:
        return subprocess.run(
            [
                sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "-p",
                "no:schemathesis", "-rfE", *options, *tests,
            ],
            cwd=self.folder, env=self._environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ).stdout


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--list", action="store_true", help="only say which there are")
    parser.add_argument("--all", action="store_true", help="name every test that notices, not only the first")
    options = parser.parse_args()
    chosen = [one for one in MUTANTS if all(word in one.guard for word in options.words)]
    wrong = [sentence for one in chosen for sentence in complaints(one)]
    if options.list or wrong or not chosen:
        for one in () if wrong else chosen:
            print(f"{one.guard}  ({one.path})")
        print("\n".join(wrong) or f"{len(chosen)} guards", file=sys.stderr if wrong else sys.stdout)
        return int(bool(wrong) or not chosen)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants") as scratch, server() as environment:
        copies = [Copy(Path(scratch) / str(at), environment) for at in range(min(options.jobs, len(chosen)))]
        tests = sorted({test for one in chosen for test in one.tests})
        told(f"{len(tests)} tests on the code as it is ...")
        done = copies[0].run(tests, ["-n", str(options.jobs), f"--timeout={LONGEST}"])
        if " failed" in done or " error" in done or " passed" not in done:
            print(done)
            print("They must pass before they can prove anything.", file=sys.stderr)
            return 1
        results = try_all(chosen, copies, ["--maxfail=12"] if options.all else ["-x"])
    width = max(len(one.guard) for one in chosen)
    print(f"{'guard':<{width}}  {'':<5}  {'s':>3}  where, and which test noticed")
    for one in chosen:
        found = results[one.guard]
        print(f"{one.guard:<{width}}  {found.verdict:<5}  {found.seconds:>3.0f}  {one.path}")
        for line in found.by.splitlines():
            print(f"{'':<{width}}              {line}")
    missed = [one.guard for one in chosen if results[one.guard].verdict != "red"]
    seconds = time.monotonic() - began
    print(f"{len(chosen) - len(missed)} of {len(chosen)} broken guards were noticed, in {seconds:.0f} s")
    return int(bool(missed))


def try_all(chosen: Sequence[Mutant], copies: Sequence[Copy], options: Sequence[str]) -> dict[str, Result]:
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for one in chosen:
        waiting.put(one)
    results: dict[str, Result] = {}

    def work(copy: Copy) -> None:
        while True:
            try:
                one = waiting.get_nowait()
            except queue.Empty:
                return
            results[one.guard] = copy.try_out(one, options)
            told(f"{len(results)}/{len(chosen)} {one.guard}: {results[one.guard].verdict}")

    threads = [threading.Thread(target=work, args=(copy,)) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class server:  # noqa: N801  reads as what it is in a with statement
    """The environment of the tests, with one server for all of them; where there is none they say so."""

    def __init__(self) -> None:
        self._server = private_server()

    def __enter__(self) -> Mapping[str, str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RINGBACK_")}
        try:
            self._server.__enter__()
        except Unavailable as error:
            told(f"no database server, so only SQLite is asked: {error}")
            return environment
        return {**environment, "RINGBACK_TEST_MYSQL_URL": self._server.url}

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()


def told(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
