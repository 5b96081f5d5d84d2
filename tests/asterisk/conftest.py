"""One Asterisk and its people for each test: none is to be spoilt by what another did to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.asterisk.pbx import Pbx, People
from tests.mariadb import Unavailable


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    try:
        with People(tmp_path / "sip") as people:
            yield people
    except Unavailable as error:
        pytest.skip(f"no Asterisk: {error}")


@pytest.fixture
def pbx(tmp_path: Path, people: People) -> Iterator[Pbx]:
    with Pbx(tmp_path / "pbx", people.port) as pbx:
        yield pbx
