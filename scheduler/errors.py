"""Every error that this code raises on purpose, in one tree.

    RingbackError                 one clear sentence for people; the CLI prints it and exits 1
    |-- InvalidValue              a value from a person: names the field, the value, what would be right
    |   |-- InvalidSettings       several of them at once, from one settings row or document
    |   |-- NotAllowed            whoever asks may not choose it
    |   `-- MissingKeys           keys of a vendor that are not set
    |-- NotFound                  no row with that id
    |-- Conflict                  the row is there but not in a state that allows this
    |-- Contended                 rows stayed locked by others; nothing was written, try again
    |-- DatabaseUnavailable       not reachable, read-only, full: wait and try again
    |-- SchemaMismatch            the tables are older or newer than this code, or there is no file with tables
    |-- MissingExtra              libraries of an extra are not installed; says which command installs them
    `-- ProviderError             a telephony request that cannot be answered; says if it is permanent

Lost races, empty polls and refusals are return values, not errors. A docstring is the default message.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable
from importlib import metadata


class RingbackError(Exception):
    """Something could not be done."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__ or type(self).__name__)


class InvalidValue(RingbackError):
    """A value cannot be used.

    `field` is what the person wrote it into, `value` what they wrote, `right` what would be accepted.
    """

    def __init__(self, field: str, value: object, right: str) -> None:
        self.field, self.value, self.right = field, value, right
        super().__init__(f"{field}: {value!r} cannot be used; {right}")


class InvalidSettings(InvalidValue):
    """Several values of one settings document cannot be used."""

    def __init__(self, where: str, problems: Iterable[str]) -> None:
        self.where, self.problems = where, tuple(problems)
        RingbackError.__init__(self, f"{where}: " + "; ".join(self.problems))


class MissingKeys(InvalidValue):
    """Keys of a vendor are not set."""

    def __init__(self, provider: str, names: Iterable[str]) -> None:
        self.names = tuple(names)
        verb = "is" if len(self.names) == 1 else "are"
        RingbackError.__init__(
            self, f"provider {provider}: {', '.join(self.names)} {verb} not set; set it in the environment or in .env, "
            f"or point {self.names[0]}_FILE at a file that holds it"
        )
        self.field, self.value, self.right = self.names[0], None, "set it"


class NotAllowed(InvalidValue):
    """Whoever asks may not choose this value; somebody else may."""


class NotFound(RingbackError):
    """There is no such row."""

    def __init__(self, what: str, key: object) -> None:
        self.what, self.key = what, key
        super().__init__(f"there is no {what} {key}")


class Conflict(RingbackError):
    """The row is not in a state that allows this."""


class Contended(RingbackError):
    """Somebody else holds these rows."""


class DatabaseUnavailable(RingbackError):
    """The database cannot be reached."""


class SchemaMismatch(RingbackError):
    """The database schema does not fit this version; run `ringback db upgrade`."""


class FileReplaced(SchemaMismatch):
    """The SQLite file is not the one that was opened."""


class MissingExtra(RingbackError):
    """Libraries of an extra are not installed."""

    def __init__(self, purpose: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f"{purpose} needs the extra `{extra}`; install it with {how_to_install(extra)}")


def how_to_install(extra: str) -> str:
    """A command that installs what an extra needs, wherever this program came from: wheel, archive or source tree.

    It names the libraries, never Ringback: on an index that name is not ours, and a stranger's package would come.
    """
    try:
        asked = metadata.requires("ringback") or ()
    except metadata.PackageNotFoundError:
        return f"pip: its libraries are listed under `{extra}` in setup.cfg"
    of_extra = re.compile(rf"extra == ['\"]{re.escape(extra)}['\"]")
    libraries = sorted(one.partition(";")[0].strip() for one in asked if of_extra.search(one))
    return shlex.join([sys.executable, "-m", "pip", "install", *libraries])


class ProviderError(RingbackError):
    """The voice provider could not answer."""

    def __init__(self, message: str | None = None, *, permanent: bool = False) -> None:
        self.permanent = permanent
        super().__init__(message)
