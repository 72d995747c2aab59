"""Pagure's pages for people, used for the one thing that its API cannot do. Only ``pagure`` enters here.

It logs in with a password, which works where Pagure keeps the passwords itself (``PAGURE_AUTH = 'local'``), fetches
the form that a person would see, and sends it with the token against forgery that came along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html.parser import HTMLParser

from reconciler.errors import ForgeAway, ForgeRefused
from reconciler.wire import Site

_TOKEN = "csrf_token"  # noqa: S105 - the name of a field
_COOKIE = "pagure_local_cookie"


class Login:
    """An account on the pages of a Pagure; *password* is read anew for every login."""

    def __init__(self, site: Site, password: Callable[[], str]) -> None:
        self._site = site
        self._password = password

    def submit(self, user: str, path: str, fields: Mapping[str, str]) -> None:
        """Send the form at *path* as *user*, logging in where that is needed; raises ForgeAway or ForgeRefused."""
        page = self._site.read(path)
        if page.moved:
            self._log_in(user)
            page = self._site.read(path)
        if page.moved:
            raise ForgeRefused(f"Pagure does not let {user} use a form of its pages.", status=403)
        # Pagure's own pages ask for this short answer; without `js` success and failure look alike.
        done = self._site.submit(f"{path}?js=1", {**fields, _TOKEN: _token(page.text)})
        if done.text.strip() != "ok":
            raise ForgeAway("Pagure did not take a form that was sent to it.", wait=60.0, unsure=True)

    def _log_in(self, user: str) -> None:
        form = self._site.read("/login/")
        fields = {"username": user, "password": self._password(), _TOKEN: _token(form.text)}
        self._site.submit("/dologin", fields)
        if not self._site.has_cookie(_COOKIE):
            raise ForgeRefused(
                f"Pagure does not let {user} log in with the password that was given.",
                status=401,
                hint="It has to be the password of the token's own account, and Pagure has to keep passwords itself.",
            )


class _Fields(HTMLParser):
    """The hidden field that carries the token against forgery."""

    def __init__(self) -> None:
        super().__init__()
        self.token = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for every tag."""
        found = dict(attrs)
        if tag == "input" and found.get("name") == _TOKEN:
            self.token = self.token or found.get("value") or ""


def _token(text: str) -> str:
    fields = _Fields()
    fields.feed(text)
    if not fields.token:
        raise ForgeRefused("A page of Pagure is not the form that it should be.", hint="Is that Pagure 5.14?")
    return fields.token
