"""The fake home-made dialer as a process of the fault tests: it follows calls by id, and lists none."""

from __future__ import annotations

from tests.providers.fakes import vendor
from tests.providers.fakes.http_dialer import HttpDialer


def main() -> None:
    vendor.main(HttpDialer)


if __name__ == "__main__":
    main()
