"""The common part of all answers: who is let in, and the headers. No page's content lives here."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler

from shoal.comm.page_tokens import ONCE, SESSION
from shoal.comm.strangers import clean
from shoal.diagnostics.page import Page

if TYPE_CHECKING:
    from types import TracebackType

    from shoal.http.admission import Admission

__all__ = ["Guarded", "PageHandler", "Site", "login_form"]

logger = logging.getLogger("shoal.http")

_HALF_A_DAY = 12 * 3600
_SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass
class Site:
    """The state that all handlers of a server share.

    Attributes
    ----------
    server : object
        The scheduler or worker that the pages are about.
    prefix : str
        The prefix of all paths: nothing, or such as ``/user/me``.
    port : int
        Where the pages are.
    admission : Admission
        Which visitors may see them.
    seconds : float
        How long a visitor may take for a request, and for taking an answer.
    proxied : bool
        Whether a proxy in front says who asks.
    paths : list of str
        The paths that are served, without the prefix.
    """

    server: Any
    prefix: str
    port: int
    admission: Admission
    seconds: float
    proxied: bool = False
    paths: list[str] = field(default_factory=list)

    @property
    def cookie(self) -> str:
        """Name of the cookie of a session: browsers tell hosts apart, but not ports."""
        return f"shoal-{self.port}"


class Guarded(RequestHandler):
    """Lets in who may see a page, and says in headers what a page may do.

    In front of the classes of handlers, users' own as well.

    Attributes
    ----------
    for_everybody : bool
        Whether it needs no login.
    changes : bool
        Whether it changes the cluster: a path that the configuration opens is not, then.
    for_people : bool
        Whether a visitor without login is shown where to log in, instead of a line of text.
    """

    for_everybody = False
    changes = False
    for_people = False
    site: Site

    def initialize(self, site: Site, **kwargs: Any) -> None:
        self.site = site
        super().initialize(**kwargs)

    @cached_property
    def nonce(self) -> str:
        """The nonce of ``<script>`` and ``<style>`` in this answer: browsers obey no others."""
        return secrets.token_urlsafe(16)

    def content_policy(self) -> str:
        """Return where a page of this handler may load from (``Content-Security-Policy``)."""
        return (
            f"default-src 'none'; script-src 'nonce-{self.nonce}'; style-src 'nonce-{self.nonce}'; "
            "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'"
        )

    def set_default_headers(self) -> None:
        # No word of frames: JupyterLab shows pages in its own.
        self.set_header("Server", "shoal")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")  # links hold tokens
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Content-Security-Policy", self.content_policy())
        super().set_default_headers()

    def prepare(self) -> Awaitable[None] | None:
        if not self._let_in():
            return None
        return super().prepare()

    def _let_in(self) -> bool:
        """Answer who may not see this; whether the visitor may."""
        admission, request = self.site.admission, self.request
        kind = self._login()
        if request.method not in _SAFE and not admission.may_change(
            request.headers.get("Origin"), request.host, kind
        ):
            self.refuse(403, "a page of elsewhere may not change anything here")
        elif kind is not None or self.for_everybody or (self._is_open() and not self.changes):
            return not self._finished
        elif not self.site.proxied and admission.is_trusted_program(
            request.path.removeprefix(self.site.prefix),
            request.remote_ip,
            request.headers.get("Origin"),
        ):
            return True
        elif admission.needs_login:
            self._ask_for_login()
        elif not admission.is_called_rightly(request.host_name):
            self.refuse(
                403,
                f"{clean(request.host_name)!r} is not known as a name of this machine. Use its "
                "address, or a link that the client or cluster shows, or add the name to the "
                "configuration 'shoal.dashboard.hosts' of the scheduler.",
            )
        else:
            return True
        return False

    def _is_open(self) -> bool:
        return self.request.path.removeprefix(self.site.prefix) in self.site.admission.open

    def _login(self) -> str | None:
        """Return by what kind of token the visitor is known; a browser is given a session."""
        admission = self.site.admission
        scheme, _, sent = self.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return admission.check(sent.strip())
        shown = self.get_query_argument("token", None)
        kind = admission.check(shown)
        if kind is None:
            return admission.check(self.get_cookie(self.site.cookie)) or self._certified()
        self.begin_session()
        # A browser's address bar, history and reloads do without the token. Frames of other sites
        # keep no cookies, and so keep it.
        tab = self.request.headers.get("Sec-Fetch-Dest") == "document"
        if self.for_people and self.request.method == "GET" and (kind == ONCE or tab):
            rest = [each for each in parse_qsl(self.request.query) if each[0] != "token"]
            self.set_status(303)
            self.set_header("Location", f"?{urlencode(rest)}")  # the same page, wherever it is
            self.finish()
        return kind

    def _certified(self) -> str | None:
        """Return what a certificate stands for: only those of the authority come this far."""
        if self.request.protocol != "https" or self.site.proxied:
            return None
        return SESSION if self.request.get_ssl_certificate() else None

    def begin_session(self) -> None:
        """Give the browser a cookie that stands for the login."""
        self.set_cookie(
            self.site.cookie,
            self.site.admission.tokens.make(SESSION),
            max_age=_HALF_A_DAY,
            path=f"{self.site.prefix}/",
            httponly=True,
            samesite="Lax",
            # Over plain HTTP browsers would not keep one that is for HTTPS only.
            secure=self.request.protocol == "https",
        )

    def _ask_for_login(self) -> None:
        if self.for_people:
            depth = self.request.path.removeprefix(self.site.prefix).count("/") - 1
            self.set_status(303)
            self.set_header("Location", "../" * max(depth, 0) + "login")
            self.finish()
            return
        self.set_header("WWW-Authenticate", 'Bearer realm="shoal"')
        self.refuse(401, "log in: send 'Authorization: Bearer' with what 'shoal token' prints")

    def refuse(self, status: int, text: str) -> None:
        """Answer with one line of text."""
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(text)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None))[1]
        said = error.log_message if isinstance(error, HTTPError) and status_code < 500 else None
        self.refuse(status_code, clean(said) if said else self._reason)

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if isinstance(value, HTTPError):  # visitors' mistakes are theirs
            logger.debug("%s: %s", clean(self.request.uri), clean(value))
        else:
            info = (typ, value, tb) if typ is not None and value is not None else None
            logger.error("the page %s failed", clean(self.request.uri), exc_info=info)

    def on_finish(self) -> None:
        super().on_finish()
        stream = getattr(self.request.connection, "stream", None)
        if stream is not None and stream.writing():  # a visitor who takes nothing is let go
            loop = IOLoop.current()
            loop.call_later(self.site.seconds, lambda: stream.writing() and stream.close())


class PageHandler(Guarded):
    """A handler of shoal's own pages.

    Attributes
    ----------
    server : object
        The scheduler or worker that the page is about.
    """

    @property
    def server(self) -> Any:
        return self.site.server

    def head(self, *args: str) -> Any:
        get: Any = self.get  # tornado leaves the body out
        return get(*args)

    def write_page(self, title: str, body: str, head: str = "") -> None:
        """Answer with a page of HTML."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(Page(title, body).render(self.nonce, head))


def login_form(failed: bool) -> str:
    """Return what the page for the login says."""
    told = "<p><b>That token is not good, or not any more.</b></p>" if failed else ""
    return (
        f"{told}<p>These pages are for members of the cluster. Open the link that the client or "
        "cluster shows (<code>client.dashboard_link</code>), the one that the scheduler printed at "
        "its start, or give a token: the command <code>shoal token</code> prints one where the "
        "cluster's secret is known.</p>"
        '<form method="post" action="login"><label>Token <input name="token" type="password" '
        'autocomplete="off" autofocus></label> <button>Log in</button></form>'
    )
