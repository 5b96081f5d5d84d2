"""What a telephone network's own codes mean: Q.850 causes and SIP status codes of a call nobody answered.

Causes are those of ITU-T Q.850 as Asterisk's causes.h numbers them; the reading is ours. It holds for
calls that were never answered: once answered, a call is `completed` (or `hang_up`, by its length)
whatever ended it, and a call that we ended ourselves is `cancelled`. An adapter asks `outcome_of_sip`
first where it has a SIP code: it tells a person's refusal from a trunk's.
"""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.model import Outcome

_SIP: Mapping[int, Outcome] = {
    404: Outcome.INVALID_NUMBER, 485: Outcome.INVALID_NUMBER, 604: Outcome.INVALID_NUMBER,
    410: Outcome.INVALID_NUMBER, 484: Outcome.INVALID_NUMBER,
    486: Outcome.BUSY, 600: Outcome.BUSY,
    408: Outcome.NO_ANSWER, 480: Outcome.NO_ANSWER, 483: Outcome.NO_ANSWER,
    603: Outcome.HANG_UP, 607: Outcome.HANG_UP, 608: Outcome.HANG_UP,
}  # fmt: skip
_OF_THE_TRUNK = frozenset({401, 403, 407})

_Q850: Mapping[int, Outcome] = {
    1: Outcome.INVALID_NUMBER, 22: Outcome.INVALID_NUMBER, 28: Outcome.INVALID_NUMBER,
    16: Outcome.NO_ANSWER, 31: Outcome.NO_ANSWER, 18: Outcome.NO_ANSWER, 19: Outcome.NO_ANSWER,
    20: Outcome.NO_ANSWER, 26: Outcome.NO_ANSWER,
    17: Outcome.BUSY,
    21: Outcome.HANG_UP,
}  # fmt: skip
_BARRED = frozenset({52, 54})
# No route, no free circuit, a network or a switch out of order: no phone rang.
_OUT_OF_ORDER = frozenset({2, 3, 25, 27, 34, 38, 39, 40, 41, 42, 43, 44, 46, 47, 49})


def outcome_of_sip(code: int | None) -> Outcome | None:
    """The outcome of an unanswered call by its final SIP status; None where the code says nothing by itself."""
    if code is None or not 300 <= code < 700:
        return None
    return _SIP.get(code, Outcome.FAILED)


def outcome_of_cause(cause: int | None, sip: int | None = None) -> Outcome:
    """The outcome of an unanswered call by its Q.850 cause, refined by the SIP code where that is known."""
    known = outcome_of_sip(sip)
    if known is not None:
        return known
    return _Q850.get(cause, Outcome.FAILED) if cause is not None else Outcome.FAILED


def is_our_trunk(cause: int | None, sip: int | None = None) -> bool:
    """Is it the trunk that was turned away (bad credentials, barred), rather than this call?"""
    return sip in _OF_THE_TRUNK or (cause in _BARRED and sip is None)


def is_outage(cause: int | None, sip: int | None = None) -> bool:
    """Was there no way through the network, so that nobody's phone rang? A SIP code that is known decides."""
    if outcome_of_sip(sip) is not None:
        return sip is not None and 500 <= sip < 600
    return cause in _OUT_OF_ORDER
