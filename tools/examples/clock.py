"""A WSGI application that tells the time."""

from datetime import UTC, datetime


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{datetime.now(UTC):%H:%M:%S} UTC\n".encode()]
