"""Chat and mail by Apprise: a letter's title, its text and its link, to whatever one URL stands for.

Only ``ears`` enters here. Apprise is imported where the first such ear is made, for it takes a second. It is let look
at nothing but its URL: no plugins or keys of a home directory, no attachments, no redirects, no log.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import ConfigError, ForgeAway
from reconciler.talk import Letter

if TYPE_CHECKING:
    from apprise import NotifyBase

LONGEST_TEXT = 1500
"""Characters. More is not read in a chat, and the whole story is behind the link."""
_SEAMS = 10
"""Characters between title, text and link, where a service takes all of them as one."""
_LONGEST_TITLE = 200
_SECONDS = 30
"""The longest that one letter may take, with all that a service does for it."""
_PACE = 1.0
"""Seconds that Apprise lets pass between two messages to one service; its own 5.5 would hold up the daemon."""
_BREAK = "\u200b"
"""A space of no width, after which a name is no mention and an address no link, though they read the same."""
_ALIVE = re.compile(r"@|<|\](?=\()|:(?=//)|www(?=\.)", re.IGNORECASE)
"""Where a mention (``@here``, ``<!channel>``, ``<@U1>``), a link or HTML begins, in any service's own language."""


class AppriseEar:
    """Sends letters to one Apprise *url*, found at *place*. Raises ConfigError, without the URL, for one it cannot use.

    Its name is the URL's scheme. Where a URL has several recipients and one of them fails, all get it again.
    """

    def __init__(self, url: str, place: str) -> None:
        self.name = f"apprise:{url.partition(':')[0].lower()}"
        self._service = _service(url, place)

    def hear(self, letter: Letter) -> None:
        """Send it, as plain text in which nothing is alive but our own link. Raises ForgeAway for every failure."""
        from apprise import Apprise, NotifyFormat

        crowd = Apprise(asset=self._service.asset)
        crowd.add(self._service)
        title = one_line(letter.title)
        room = self._service.body_maxlen - len(title) - len(letter.url) - _SEAMS
        text = f"{plain(letter.text)[: min(LONGEST_TEXT, max(room, 0))]}\n\n{letter.url}".strip()
        if not crowd.notify(text, title=title, body_format=NotifyFormat.TEXT, attach=None):
            raise ForgeAway(f"{self.name} did not take the message; Apprise does not say why.", unsure=True)

    def close(self) -> None:
        """Nothing is kept open."""


def addresses(path: Path) -> list[tuple[str, str]]:
    """Every URL in the file with its place (file:line); empty lines and those that begin with # are none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise ConfigError(f"{path} cannot be read: {why}") from None
    found = [(f"{path}:{number}", line.strip()) for number, line in enumerate(lines, 1)]
    urls = [(place, line) for place, line in found if line and not line.startswith("#")]
    if not urls:
        raise ConfigError(f"{path} holds no URL", hint="One Apprise URL on a line, as in mailto://user:password@host.")
    return urls


def plain(text: str) -> str:
    """*text* in its lines, without control and bidi characters, and with nothing in it that a service would act on."""
    visible = "".join(c if c.isprintable() or c == "\n" else " " if c.isspace() else "\ufffd" for c in text)
    return _ALIVE.sub(lambda found: found[0] + _BREAK, visible)


def one_line(title: str) -> str:
    """*title* as the subject of a mail, say."""
    return plain(" ".join(title.split()))[:_LONGEST_TITLE]


def _service(url: str, place: str) -> NotifyBase:
    _silence()
    from apprise import Apprise, AppriseAsset, OverflowMode, PersistentStoreMode

    asset = AppriseAsset(
        app_id="reconciler",
        image_url_mask="",  # else a reader's client would load a picture from somebody's server
        plugin_paths=None,
        storage_mode=PersistentStoreMode.MEMORY,
        service_timeout=_SECONDS,
        async_mode=False,
        http_redirects=False,
        pgp_autogen=False,
        pem_autogen=False,
    )
    service = Apprise.instantiate(url, asset=asset)
    if service is None:
        raise ConfigError(
            f"{place} is no URL that Apprise can use",
            hint="https://github.com/caronc/apprise shows what the URL of each service looks like.",
        )
    if service.overflow_mode == OverflowMode.UPSTREAM:  # which would be refused for ever where it is too long
        service.overflow_mode = OverflowMode.TRUNCATE
    service.request_rate_per_sec = min(service.request_rate_per_sec, _PACE)
    return service


def _silence() -> None:
    """Apprise logs what it could not send, and its URLs hold passwords."""
    logging.getLogger("apprise").disabled = True
