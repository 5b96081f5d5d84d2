"""A daemon on a machine whose resolver never answers: the system's own look-ups block, and nothing else is changed.

Run as `python -m tests.faults.silent_resolver run ...`, as the command line is. In each thread that looks a name up,
the C library is told to ask a name server at a port of this process where nobody reads; no root is needed for that.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import Any

from cli.main import main as run_command_line

PATIENCE_SECONDS, TRIES = 30, 5
"""What the C library waits for one try, and how often it asks: longer than any test."""
NAMESERVERS_AT, ONE_NAMESERVER = 16, struct.Struct("=i")
"""In `struct __res_state`: retrans, retry and options, then how many name servers, then their addresses (resolv.h)."""


def silence() -> None:
    """From now on no name server answers this process."""
    nobody = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    nobody.bind(("127.0.0.1", 0))
    port = nobody.getsockname()[1]
    look_up = socket.getaddrinfo

    def ask_nobody(*about: Any, **more: Any) -> Any:
        _point_to(port)
        return look_up(*about, **more)

    socket.getaddrinfo = ask_nobody
    ask_nobody.listener = nobody  # type: ignore[attr-defined]  # or it would be closed


def _point_to(port: int) -> None:
    library = ctypes.CDLL(None)
    library.__res_init()
    library.__res_state.restype = ctypes.c_void_p
    state = library.__res_state()
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton("127.0.0.1") + bytes(8)
    ctypes.memmove(state, struct.pack("=ii", PATIENCE_SECONDS, TRIES), 8)
    ctypes.memmove(state + NAMESERVERS_AT, ONE_NAMESERVER.pack(1) + address, 4 + len(address))


def main() -> None:
    silence()
    run_command_line()


if __name__ == "__main__":
    main()
