"""A little web server: it answers with its price, and cannot start without a good one."""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer

price = float(os.environ["PRICE"])


class Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"one coffee: {price:.2f}\n".encode())

    def log_message(self, *told: object) -> None:
        pass


HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Shop).serve_forever()
