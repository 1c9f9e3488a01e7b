"""Configs that are named by an http(s) URL: fetched, with limits, until there is an answer.

Any answer is final: 200 is the config, anything else means that there is none. No answer at all
(refused, timed out, broken off) means nothing. The URL is asked again with backoff, until it
answers or is announced again.
"""

import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, Self

import httpx2
import msgspec
import trio

from ..backoff import Backoff
from ..link_local import flaw_of_address
from ..names import shown
from ..os_errors import error_text
from ..rows import LONGEST_CONFIG
from .paced_answers import Answer, Pace

LIMIT: Final = 10.0  # seconds for one fetch, redirects included
FIRST_PAUSE: Final = 1.0  # seconds until the next try
LONGEST_PAUSE: Final = 60.0
AT_ONCE: Final = 16  # fetches
MOST: Final = 5000  # URLs that are tried for at a time
_REDIRECTS: Final = 5
_PIECES: Final = 1000  # of one config; each chunk is one, and so is each read
_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "emperord"}


class ConfigText(msgspec.Struct, frozen=True):
    """The answer is a config."""

    content: bytes


class NoSuchConfig(msgspec.Struct, frozen=True):
    """The answer is that there is no config."""

    reason: str


class UnusableReply(msgspec.Struct, frozen=True):
    """The answer is one, but no config can be made of it."""

    reason: str


class NoReply(msgspec.Struct, frozen=True):
    """There was no answer. It is tried again."""

    reason: str


Outcome = ConfigText | NoSuchConfig | UnusableReply | NoReply
Flaw = Callable[[str], str | None]


class AddressRefused(Exception):
    """Nothing is fetched from this address."""


class Fetcher:
    """Gets texts over HTTP; one for each run of a monitor, to be used as a context.

    ``flaw`` says why nothing is fetched from an address.
    """

    def __init__(self, limit: float = LIMIT, flaw: Flaw = flaw_of_address) -> None:
        self._limit = limit
        self._flaw = flaw
        # This is no client of httpx2's. A client would look into each answer before we do, and
        # would send one program's cookies to the next.
        self._transport: httpx2.AsyncHTTPTransport | None = None
        self._making = trio.Lock()
        self._slots = trio.CapacityLimiter(AT_ONCE)
        self._pace = Pace()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        if self._transport is not None:
            with trio.move_on_after(1) as scope:
                scope.shield = True
                await self._transport.aclose()

    async def fetch(self, url: str) -> Outcome:
        """The answer of a URL in which ``flaw_of`` found no flaw."""
        async with self._slots:
            transport = await self._open()
            with trio.move_on_after(self._limit):
                try:
                    return await self._follow(transport, httpx2.URL(url))
                except httpx2.TransportError as error:
                    return NoReply(_why(error))
                except AddressRefused as error:
                    return UnusableReply(str(error))
            return NoReply(f"it took longer than {self._limit:g} s")

    async def _open(self) -> httpx2.AsyncHTTPTransport:
        async with self._making:
            if self._transport is None:
                # Reads all certificates of the system, which takes a moment.
                trusted = await trio.to_thread.run_sync(ssl.create_default_context)
                self._transport = httpx2.AsyncHTTPTransport(
                    verify=trusted,
                    trust_env=False,
                    # A connection has limits for one answer.
                    limits=httpx2.Limits(max_keepalive_connections=0),
                )
            return self._transport

    async def _follow(self, transport: httpx2.AsyncHTTPTransport, url: httpx2.URL) -> Outcome:
        for _ in range(_REDIRECTS):
            extensions = {
                "timeout": httpx2.Timeout(self._limit).as_dict(),
                "trace": functools.partial(self._trace, Answer(self._pace)),
            }
            request = httpx2.Request("GET", url, headers=_HEADERS, extensions=extensions)
            response = await transport.handle_async_request(request)
            try:
                if not response.has_redirect_location:
                    return await _take(response)
                status, location = response.status_code, response.headers["location"]
            finally:
                await response.aclose()
            try:
                target = url.join(location)
                elsewhere = _origin(target) != _origin(url)
            except (httpx2.InvalidURL, ValueError):
                return NoSuchConfig(f"answered {status}, a redirect to an address that is none")
            if elsewhere:
                return NoSuchConfig(
                    f"answered {status}, a redirect to another scheme, host or port"
                )
            url = target
        return NoSuchConfig("redirects too often")

    async def _trace(self, answer: Answer, what: str, about: Mapping[str, Any]) -> None:
        """See which address is connected to: a name may lead to another each time it is asked."""
        if what == "connection.connect_tcp.started":
            self._check(about["host"])
        elif what == "connection.connect_tcp.complete":
            stream = about["return_value"]
            try:
                self._check(stream.get_extra_info("server_addr")[0])
            except AddressRefused:
                await stream.aclose()
                raise
            answer.limit(stream)
        elif what == "connection.start_tls.complete":
            answer.limit(about["return_value"])
        elif what == "http11.receive_response_headers.complete":
            answer.head_has_ended()

    def _check(self, address: str) -> None:
        flaw = self._flaw(address)
        if flaw is not None:
            raise AddressRefused(flaw)


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, _host(url), url.port  # None where it is the scheme's own


def _host(url: httpx2.URL) -> str:
    """The URL's host. Raises UnicodeError if no host can have this name."""
    url.raw_host.decode("ascii").encode("idna")  # as trio will, to look it up
    if any(label.startswith("xn--") for label in url.host.split(".")):
        raise UnicodeError("no Punycode")  # httpx2 leaves such a label as it is
    return url.host


def flaw_of(text: str) -> str | None:
    """Why nothing can be fetched from this URL, or None if it can be tried."""
    try:
        url = httpx2.URL(text)
        host = _host(url)
    except httpx2.InvalidURL as error:
        return f"the URL cannot be understood: {shown(str(error))}"
    except UnicodeError:
        return "the URL's host is no name that a host can have"
    return None if host else "the URL names no host"


def _why(error: httpx2.TransportError) -> str:
    """The failure; where there are several addresses, that of the last one."""
    cause: BaseException = error
    while (below := cause.__cause__ or cause.__context__) is not None:
        cause = below.exceptions[-1] if isinstance(below, BaseExceptionGroup) else below
    match cause:
        case ssl.SSLCertVerificationError():
            return f"no trusted connection: {shown(cause.verify_message)}"
        case ssl.SSLError():  # its numbers are OpenSSL's, not the system's
            reason = (cause.reason or str(cause)).replace("_", " ").lower()
            return f"TLS failed: {shown(reason)}"
        case OSError(errno=int()):
            connected = not isinstance(error, httpx2.ConnectError)
            failure = "the connection broke" if connected else "cannot connect"
            return f"{failure}: {shown(error_text(cause))}"
    return shown(str(error) or type(error).__name__)


async def _take(response: httpx2.Response) -> Outcome:
    if response.status_code != httpx2.codes.OK:
        return NoSuchConfig(
            f"answered {response.status_code} {shown(response.reason_phrase)}".strip()
        )
    if response.headers.get("content-encoding", "identity") != "identity":
        return UnusableReply("the config came compressed, which was not asked for")
    content, pieces = b"", 0
    with trio.CancelScope() as enough:
        async for piece in response.aiter_raw():
            pieces += 1
            if len(content) <= LONGEST_CONFIG and pieces <= _PIECES:
                content += piece
            else:
                # To leave the loop would leave httpx2's inner iterators unfinished, each a
                # warning; this ends them all.
                enough.cancel()
    if len(content) > LONGEST_CONFIG:
        return UnusableReply(f"the config has more than {LONGEST_CONFIG} bytes")
    if pieces > _PIECES:
        return UnusableReply(f"the config came in more than {_PIECES} pieces, such as chunks")
    return ConfigText(content)


class Fetches:
    """All URLs that are being tried for.

    ``pauses`` are the first and the longest one between two tries, in seconds.
    """

    def __init__(
        self, fetcher: Fetcher, pauses: tuple[float, float] = (FIRST_PAUSE, LONGEST_PAUSE)
    ) -> None:
        self._fetcher = fetcher
        self._pauses = pauses
        self._trying: dict[str, trio.CancelScope] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._news = trio.Event()
        self._nursery: trio.Nursery | None = None

    def __contains__(self, url: object) -> bool:
        """Whether it is being tried for."""
        return url in self._trying

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Fetches are made within this."""
        async with trio.open_nursery() as self._nursery:
            yield
            self._nursery.cancel_scope.cancel()

    def begin(self, url: str) -> bool:
        """Try for this URL, from the beginning. False if too many are being tried for."""
        self.forget(url)
        if len(self._trying) >= MOST:
            return False
        assert self._nursery is not None
        self._trying[url] = trio.CancelScope()
        self._nursery.start_soon(self._try, url, self._trying[url])
        return True

    def forget(self, url: str) -> None:
        """Try no longer; what has come of it does not count."""
        scope = self._trying.pop(url, None)
        if scope is not None:
            scope.cancel()
        self._outcomes.pop(url, None)

    async def wait(self) -> None:
        """Return when ``take`` has something to give."""
        while not self._outcomes:
            await self._news.wait()

    def take(self, most: int) -> dict[str, Outcome]:
        """The outcome of some URLs. Those that got an answer are done; silence is given once."""
        urls = list(self._outcomes)[:most]
        taken = {url: self._outcomes.pop(url) for url in urls}
        for url, outcome in taken.items():
            if not isinstance(outcome, NoReply):
                del self._trying[url]
        return taken

    async def _try(self, url: str, scope: trio.CancelScope) -> None:
        backoff = Backoff(*self._pauses)
        told = False
        with scope:
            while True:
                outcome = await self._fetcher.fetch(url)
                silent = isinstance(outcome, NoReply)
                if not (silent and told):
                    told = True
                    self._outcomes[url] = outcome
                    self._news.set()
                    self._news = trio.Event()
                if not silent:
                    return
                await trio.sleep(backoff.pause())
