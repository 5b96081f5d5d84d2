"""References of attempts are UUIDs that sort by time."""

import uuid
from datetime import timedelta

from scheduler.service.refs import MOST_AT_ONCE, new_refs
from tests.conftest import NOON


def test_references_are_uuids_of_version_7_in_the_order_of_time():
    refs = [*new_refs(MOST_AT_ONCE, NOON), *new_refs(2, NOON + timedelta(milliseconds=1))]

    read = [uuid.UUID(one) for one in refs]
    assert refs == [str(one) for one in read] == sorted(refs)
    assert {(one.version, one.variant) for one in read} == {(7, uuid.RFC_4122)}


def test_two_takes_at_one_instant_share_no_reference():
    refs = [one for _ in range(50) for one in new_refs(100, NOON)]

    assert len(set(refs)) == len(refs)
