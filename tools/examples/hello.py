"""A WSGI application that says what its config told it to say."""

import os


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{os.environ['GREETING']} from process {os.getpid()}\n".encode()]
