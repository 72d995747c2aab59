"""What a person sees of a page: headless Chromium's picture of it, and the words on it.

The browser speaks with this machine only; the name of any other leads nowhere, so that no picture waits for a
stranger's server. Where there is no Chromium a test fails.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

SECONDS = 60
"""Seconds that a picture may take, on a machine that is busy with other things."""

WIDTH, HEIGHT = 1200, 1600

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", f"--window-size={WIDTH},{HEIGHT}"),
]

UNSEEN = ("script", "style", "template", "noscript", "head", "textarea", "option")
"""Elements whose text is not on the page as it is looked at."""


@dataclass(frozen=True)
class Page:
    """One page as it was: the picture, its document, and the words that are on it, one blank between them."""

    picture: Path
    document: str
    words: str


def look(url: str, picture: Path) -> Page:
    """Open *url*, take a picture of it and return both; raises AssertionError where it is no picture."""
    if not shutil.which("chromium"):
        pytest.fail("No Chromium is here to look at pages. On Debian: apt-get install chromium.")
    with TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        command = ["chromium", *FLAGS, f"--user-data-dir={profile}", f"--screenshot={picture}", "--dump-dom", url]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    assert done.returncode == 0, f"{url}: {done.stderr[-2000:]}"
    assert picture.is_file(), f"{url}: no picture was taken\n{done.stderr[-2000:]}"
    assert different_lines(picture.read_bytes()) > HEIGHT // 8, f"{picture} shows next to nothing"
    return Page(picture, done.stdout, words(done.stdout))


def words(document: str) -> str:
    """The text of a document without its tags, comments and scripts."""
    reader = _Words()
    reader.feed(document)
    return " ".join(" ".join(reader.found).split())


class _Words(HTMLParser):
    """Gathers text outside of elements that show none."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in UNSEEN:
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            self.inside.remove(tag)

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.found.append(data)


def different_lines(png: bytes) -> int:
    """How many different lines of pixels a PNG has: an empty page has two or three.

    Lines are compared as they are stored, filtered; what is equal there may still differ, and never by much.
    """
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height, depth, colour = struct.unpack(">IIBB", png[16:26])
    assert (width, height, depth) == (WIDTH, HEIGHT, 8)
    line = 1 + width * {2: 3, 6: 4}[colour]
    pixels = zlib.decompress(b"".join(chunks(png, b"IDAT")))
    assert len(pixels) == height * line
    return len({pixels[start : start + line] for start in range(0, len(pixels), line)})


def chunks(png: bytes, wanted: bytes) -> list[bytes]:
    """The contents of the chunks of one kind, in order."""
    found, at = [], 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        if kind == wanted:
            found.append(png[at + 8 : at + 8 + length])
        at += 12 + length
    return found
