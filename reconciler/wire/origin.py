"""The one place a token may go to: a scheme, host, port and folder. Only ``wire`` enters here."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

import httpx2

from reconciler.errors import ConfigError, ForgeRefused

Params = Mapping[str, str | int]
_PORTS = {"http": 80, "https": 443}


class Origin:
    """The root of an API; everything asked is below it. Raises ConfigError for what is no address."""

    def __init__(self, root: str) -> None:
        url = web_address(root)
        self._root = url.copy_with(userinfo=b"", path=url.path.rstrip("/"), query=None, fragment=None)
        self._folder = self._root.raw_path.decode("ascii").rstrip("/") + "/"
        self.scheme = url.scheme
        self.host = url.host

    def url(self, path: str, params: Params | None = None) -> httpx2.URL:
        """The address of *path* (below the root, or in full) with *params*; raises ForgeRefused for another place."""
        _climbs_not(path)
        try:
            given = httpx2.URL(path if "://" in path.partition("?")[0] else self._below(path))
            url = given.copy_with(userinfo=b"", fragment=None)
            url = url.copy_merge_params(dict(params)) if params else url
        except (httpx2.InvalidURL, ValueError, TypeError):
            raise ForgeRefused("An address that was to be asked for is not one, so it is not asked for.") from None
        return self._own(url)

    def follow(self, base: httpx2.URL, location: str) -> httpx2.URL:
        """The address that *location* means, seen from *base*; raises ForgeRefused for any other place."""
        try:
            url = base.join(location).copy_with(userinfo=b"", fragment=None)
        except (httpx2.InvalidURL, ValueError):
            raise ForgeRefused("The forge sent us to an address that is not one, so it is not asked for.") from None
        return self._own(url)

    def path(self, url: httpx2.URL) -> str:
        """What of an address a message may show: no host, no query."""
        return url.path.removeprefix(self._root.path.rstrip("/"))

    def _below(self, path: str) -> str:
        return f"{str(self._root).rstrip('/')}/{path.lstrip('/')}"

    def _own(self, url: httpx2.URL) -> httpx2.URL:
        path = url.raw_path.partition(b"?")[0].decode("ascii")
        if _place(url) != _place(self._root) or not path.startswith(self._folder):
            raise ForgeRefused(
                f"An address of the forge leads away from {self.host}, so it is not asked for.",
                hint="Is the address in the configuration the one that the forge knows itself by?",
            )
        _climbs_not(path)
        return url


def _climbs_not(path: str) -> None:
    """Refuse what a server could take for another place than we do."""
    if {".", ".."} & set(unquote(path.partition("?")[0]).split("/")):
        raise ForgeRefused("An address holds '..', so it is not asked for.")


def web_address(text: str) -> httpx2.URL:
    """Parse a configured address; raises ConfigError."""
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError):
        url = httpx2.URL()
    if url.scheme not in _PORTS or not url.host:
        raise ConfigError("An address to speak with is no https:// URL.")
    return url


def _place(url: httpx2.URL) -> tuple[str, bytes, int | None]:
    return url.scheme, url.raw_host, url.port or _PORTS.get(url.scheme)
