"""A small web server for tests: what each path answers can be said, and what was asked is known."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

Answer = Callable[[BaseHTTPRequestHandler], None]


class Web:
    """Serves on a loopback port as long as the block runs."""

    def __init__(self, port: int = 0) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, path: str) -> str:
        """The whole URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def says(self, path: str, content: str | bytes, status: int = 200, **headers: str) -> str:
        """Let a path answer this; its URL. Underscores in headers are dashes."""
        body = content.encode() if isinstance(content, str) else content

        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for key, value in headers.items():
                request.send_header(key.replace("_", "-"), value)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)

        self.answers[path] = answer
        return self.url(path)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        web = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def do_GET(self) -> None:  # http.server's name
                web.asked.append(self.path)
                self.close_connection = True
                answer = web.answers.get(self.path)
                if answer is None:
                    self.send_error(404)
                else:
                    answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
