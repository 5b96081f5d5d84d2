from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scheduler.model import Outcome
from scheduler.providers.causes import is_our_trunk, outcome_of_cause, outcome_of_sip
from tests.each import each

# The rows of the table in section 10 of the facts about providers, in its order: causes, SIP codes, outcome.
ROWS: list[tuple[tuple[int, ...], tuple[int, ...], Outcome]] = [
    ((0,), (), Outcome.FAILED),
    ((1,), (404, 485, 604), Outcome.INVALID_NUMBER),
    ((2, 3, 5), (420,), Outcome.FAILED),
    ((6, 7, 8, 14, 23, 30), (302,), Outcome.FAILED),
    ((16, 31), (), Outcome.NO_ANSWER),
    ((17,), (486, 600), Outcome.BUSY),
    ((18,), (408,), Outcome.NO_ANSWER),
    ((19,), (480, 483), Outcome.NO_ANSWER),
    ((20,), (), Outcome.NO_ANSWER),
    ((21,), (603, 607, 608), Outcome.HANG_UP),
    ((22,), (410,), Outcome.INVALID_NUMBER),
    ((26,), (), Outcome.NO_ANSWER),
    ((27,), (502,), Outcome.FAILED),
    ((28,), (484,), Outcome.INVALID_NUMBER),
    ((29, 50, 57, 58, 65, 66, 69, 88), (488, 501, 606), Outcome.FAILED),
    ((34, 42, 44), (503, 505, 513, 580), Outcome.FAILED),
    ((38, 41), (500, 409), Outcome.FAILED),
    ((81, *range(95, 104), 111, 127), (487, 400, 402, 405, 406, 413, 416, 481, 482, 493, 504), Outcome.FAILED),
]
CAUSES = [(cause, outcome) for causes, _, outcome in ROWS for cause in causes]
CODES = [(code, outcome) for _, codes, outcome in ROWS for code in codes]
PAIRS = [(cause, code, outcome) for causes, codes, outcome in ROWS for cause in causes for code in codes]


@each(("cause", "outcome"), CAUSES)
def test_a_cause_is_an_outcome(cause: int, outcome: Outcome):
    assert outcome_of_cause(cause) is outcome
    assert not is_our_trunk(cause)


@each(("code", "outcome"), CODES)
def test_a_sip_code_is_an_outcome(code: int, outcome: Outcome):
    assert outcome_of_sip(code) is outcome
    assert not is_our_trunk(None, code)


@each(("cause", "code", "outcome"), PAIRS)
def test_a_cause_and_the_codes_of_its_row_agree(cause: int, code: int, outcome: Outcome):
    assert outcome_of_cause(cause, code) is outcome


@each("cause", [52, 54])
def test_a_barred_call_is_the_trunks_matter(cause: int):
    assert is_our_trunk(cause)
    assert is_our_trunk(cause, 403)
    assert outcome_of_cause(cause) is Outcome.FAILED


@each("code", [401, 403, 407])
@each("cause", [None, 21, 52, 127])
def test_a_code_that_asks_for_credentials_is_the_trunks_matter(cause: int | None, code: int):
    assert is_our_trunk(cause, code)
    assert outcome_of_cause(cause, code) is Outcome.FAILED  # never `hang_up`: no person was asked


@each("code", [607, 608])
def test_a_refusal_that_reaches_asterisk_as_interworking_is_still_a_refusal(code: int):
    assert outcome_of_cause(127, code) is Outcome.HANG_UP


@each(
    ("cause", "code", "outcome"),
    [
        (16, 200, Outcome.NO_ANSWER),
        (19, 183, Outcome.NO_ANSWER),
        (17, 0, Outcome.BUSY),
        (17, 700, Outcome.BUSY),
        (16, 486, Outcome.BUSY),
        (1, 503, Outcome.FAILED),
        (None, 486, Outcome.BUSY),
        (None, 200, Outcome.FAILED),
        (None, None, Outcome.FAILED),
    ],
)
def test_a_final_code_counts_more_than_the_cause_and_any_other_nothing(
    cause: int | None, code: int | None, outcome: Outcome
):
    assert outcome_of_cause(cause, code) is outcome


@each("code", [None, 0, 100, 180, 200, 299, 700])
def test_a_code_that_ends_no_call_says_nothing(code: int | None):
    assert outcome_of_sip(code) is None


def test_a_barred_cause_beside_a_code_of_the_callee_is_not_the_trunks_matter():
    assert not is_our_trunk(52, 486)


@given(st.none() | st.integers(), st.none() | st.integers())
def test_no_code_makes_an_unanswered_call_a_talk(cause: int | None, code: int | None):
    assert outcome_of_cause(cause, code) in {
        Outcome.FAILED, Outcome.INVALID_NUMBER, Outcome.NO_ANSWER, Outcome.BUSY, Outcome.HANG_UP,
    }  # fmt: skip
    assert is_our_trunk(cause, code) in (True, False)
