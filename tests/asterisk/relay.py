"""Between Ringback and Asterisk: loses start requests, or their answers, as networks do."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


class Relay:
    """Forwards to `port`. `loses`: "answers" of starts, the "requests" themselves, or None."""

    def __init__(self, port: int, loses: str | None) -> None:
        self.port, self.loses = port, loses
        self.lost = 0
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                is_start = self.command == "POST" and "/ari/channels/" in self.path and "/create" not in self.path
                if is_start and relay.loses == "requests":
                    relay.lost += 1
                    self._hang_up()
                    return
                line = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=10)
                try:
                    headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                    line.request(self.command, self.path, body, headers)
                    answer = line.getresponse()
                    content = answer.read()
                except OSError:
                    self._hang_up()
                    return
                finally:
                    line.close()
                if is_start and relay.loses == "answers":
                    relay.lost += 1
                    self._hang_up()
                    return
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def _hang_up(self) -> None:
                self.close_connection = True

            do_GET = do_POST = do_DELETE = _forward  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
