"""Which adapter speaks with which forge, where its API is, and how it wants to see the token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

from reconciler.errors import ConfigError
from reconciler.forge.forgejo import Forgejo
from reconciler.forge.github import HEADERS, GitHub
from reconciler.forge.gitlab import GitLab
from reconciler.forge.pagure import Pagure
from reconciler.forge.pagure_login import Login
from reconciler.forge.port import Forge
from reconciler.forge.tokens import App, AppToken, TokenFile, app_signature
from reconciler.wire import Site, Wire


@dataclass(frozen=True)
class _Kind:
    """An adapter, the folder of its API below the web root, and the header that carries the token."""

    adapter: Callable[[Wire, str, str], Forge]
    api: str
    header: str = "Authorization"
    scheme: str = ""


_KINDS: Mapping[str, _Kind] = {
    "github": _Kind(GitHub, "/api/v3", scheme="Bearer "),
    "gitlab": _Kind(GitLab, "/api/v4", header="PRIVATE-TOKEN"),
    "forgejo": _Kind(Forgejo, "/api/v1", scheme="token "),
    "gitea": _Kind(Forgejo, "/api/v1", scheme="token "),
    "pagure": _Kind(Pagure, "/api/0", scheme="token "),
}
KINDS = tuple(_KINDS)
"""The forges that can be spoken with, as the configuration names them."""


@contextmanager
def open_forge(
    kind: str,
    url: str,
    repository: str,
    credentials: TokenFile | App,
    *,
    monotonic: Callable[[], float],
    now: Callable[[], datetime],
    password: Callable[[], str] | None = None,
    ca: Path | None = None,
    proxy: str | None = None,
    spent: Iterable[float] = (),
    keep: Callable[[list[float]], None] | None = None,
    transport: Any = None,
) -> Iterator[Forge]:
    """The forge of *kind* at *url*, its web root, for *repository* there; its connections close at the end.

    Keep it open: the answers remembered live as long as it does. Nothing is asked here. *keep* is given the times
    (epoch seconds) of the last hour's writes before each; *spent* are those that were kept last.
    *password* is the account's own, for Pagure, where comments cannot be edited with a token; *transport* replaces
    the network in tests. Raises ConfigError for a kind or credentials that cannot be.
    """
    if kind not in _KINDS:
        raise ConfigError(f"there is no forge of kind {kind}", hint=f"Known are {', '.join(KINDS)}.")
    if isinstance(credentials, App) and kind != "github":
        raise ConfigError(f"an App is GitHub's; {kind} needs a token", hint="Set forge.token to the file of one.")
    about, web = _KINDS[kind], url.rstrip("/")
    outside: _Outside = {"ca": ca, "proxy": proxy, "transport": transport}
    with ExitStack() as stack:

        def wire(token: Callable[[], str]) -> Wire:
            line = Wire(
                _api_root(kind, web),
                headers=partial(_headers, about, token),
                monotonic=monotonic,
                now=lambda: now().timestamp(),
                spent=spent,
                keep=keep,
                **outside,
            )
            return stack.enter_context(line)

        if isinstance(credentials, App):
            installed = AppToken(credentials, wire(lambda: app_signature(credentials, now())), now)
            yield GitHub(wire(installed), repository, web, login=installed.login)
        elif kind == "pagure" and password is not None:
            site = stack.enter_context(Site(web, **outside))
            yield Pagure(wire(credentials), repository, web, Login(site, password))
        else:
            yield about.adapter(wire(credentials), repository, web)


class _Outside(TypedDict):
    """How the outside is reached."""

    ca: Path | None
    proxy: str | None
    transport: Any


def _api_root(kind: str, web: str) -> str:
    """GitHub's cloud alone has its API on a host of its own."""
    scheme, _, host = web.lower().partition("://")
    if kind == "github" and (host == "github.com" or host.endswith(".ghe.com")):
        return f"{scheme}://api.{host}"
    return web + _KINDS[kind].api


def _headers(about: _Kind, token: Callable[[], str]) -> dict[str, str]:
    own = HEADERS if about.adapter is GitHub else {}
    return {**own, about.header: f"{about.scheme}{token()}"}
