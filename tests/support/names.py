"""A DNS server on loopback that knows a few records, and is asked by this process alone."""

import socket
import threading
from collections.abc import Mapping
from typing import Self

import dns.asyncresolver
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset


class NameServer:
    """Answers as long as the block runs. ``records``: name and type -> the record's text.

    ``silent``: it never answers.
    """

    def __init__(self, records: Mapping[tuple[str, str], str], *, silent: bool = False) -> None:
        self.records = dict(records)
        self.asked: list[tuple[str, str]] = []
        self._silent = silent
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._socket.bind(("127.0.0.1", 0))
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self._socket.getsockname()[1]
        dns.asyncresolver.default_resolver = resolver  # type: ignore[assignment]  # None by then
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        dns.asyncresolver.default_resolver = None
        self._socket.sendto(b"", self._socket.getsockname())  # ends the thread
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, client = self._socket.recvfrom(4096)
            if not data:
                return
            query = dns.message.from_wire(data)
            (question,) = query.question
            kind = dns.rdatatype.to_text(question.rdtype)
            name = question.name.to_text(omit_final_dot=True)
            self.asked.append((name, kind))
            answer = dns.message.make_response(query)
            record = self.records.get((name, kind))
            if record is not None:
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, record))
            elif name not in (each for each, _ in self.records):
                answer.set_rcode(dns.rcode.NXDOMAIN)
            if not self._silent:
                self._socket.sendto(answer.to_wire(), client)
