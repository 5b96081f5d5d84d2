"""One daemon as a process, from the environment alone: what `ringback run` does, without a terminal."""

from __future__ import annotations

import sys

from scheduler.errors import RingbackError
from scheduler.events import set_up_logging
from scheduler.service.daemon import Daemon
from scheduler.service.runtime import open_runtime


def main() -> int:
    runtime = open_runtime()
    set_up_logging(runtime.settings.log_level, runtime.settings.log_format)
    try:
        return Daemon(runtime).run()
    except RingbackError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        runtime.close()


if __name__ == "__main__":
    sys.exit(main())
