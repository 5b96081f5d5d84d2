"""How many examples hypothesis tries. Every run draws others, so few are enough in `make test`.

RINGBACK_TEST_EXAMPLES=20 (`make test-more`) tries twenty times as many. There is no deadline for one example: how long
it takes says more about what else the machine does than about the code.
"""

from __future__ import annotations

import os

from hypothesis import settings

TIMES = int(os.environ.get("RINGBACK_TEST_EXAMPLES") or 1)


def examples(usual: int) -> int:
    return usual * TIMES


def keep_profile() -> None:
    """For every property test of this process."""
    settings.register_profile("ringback", max_examples=examples(25), deadline=None)
    settings.load_profile("ringback")
