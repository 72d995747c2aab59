"""Safe Markdown: the only place where strings of hosts and strangers become Markdown.

Called by ``comment`` and ``ticket``. Pure. Whatever a forge may see in a string (a mention, a number that becomes a
link, a picture, HTML, a command at the start of a line) is shown as code, because GitHub, GitLab, Forgejo and
Pagure all leave code alone. Plain words stay plain. What a reader cannot see (control, direction-changing and
zero-width characters) is made visible, so that no line reads otherwise than it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

CODE_LENGTH = 120
TEXT_LENGTH = 400
LINE_LENGTH = 200
URL_LENGTH = 1000

MARKER = re.compile(r"<!-- reconciler:([\w.-]+) ([\w./:-]+) -->")

INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10))))
"""Characters that Python calls printable and that nobody sees."""

PLAIN = re.compile(r"\(?(?:[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+(?:\.\d+)*%?|\d\d(?::\d\d){1,2})\)?[,;:.?)]*|[→–—…·%]")
"""A word that no forge makes anything of: letters, or a number, and the punctuation after it."""

COMMIT = re.compile(r"[0-9a-fA-F]{7}")
"""Seven hexadecimal digits are a commit to every forge, to Pagure even as the beginning of a word."""
LIST_ITEM = re.compile(r"\d+[.)]")
CORE = re.compile(r"(\(?)(.*?)([,;:.?)]*)")

ENTITY_NEEDED = frozenset("`|<>&\\@#")
"""What a code span of backticks cannot hold everywhere.

A pipe ends a table's cell even in code; Pagure mails whoever is named after an ``@`` in a code span and reads
``fixes #1`` there; inside ``<details>`` it takes a code span for HTML.
"""

HARMLESS = frozenset(" /-=,+.…")
"""Signs that mean nothing inside ``<code>``."""
WWW = re.compile(r"www\.", re.IGNORECASE)

CALL = re.compile(r"(?<![^\W_])[@#!$%&~](?=[\w\"'])|\bGH-(?=\d)|:(?=//)|www(?=\.)|<(?=[a-z/!?])", re.IGNORECASE)
"""Where a name, a number or an address begins in plain text, for one forge or another."""

LINE_COMMANDS = tuple("/>~`:")
"""First characters of a line that GitLab or Pagure read before they look for code: ``/close``, ``>>>``, ``~~~``."""


def marker(kind: str, key: str) -> str:
    """The first line of everything we write, by which we find it again; nobody sees it."""
    line = f"<!-- reconciler:{kind} {key} -->"
    if not MARKER.fullmatch(line) or "--" in kind + key:
        raise ValueError(f"not to be used in a marker: {kind!r} {key!r}")
    return line


def find_marker(body: str) -> tuple[str, str] | None:
    """The kind and key of the marker on the very first line, None where there is none."""
    found = MARKER.fullmatch(body.partition("\n")[0].rstrip())
    return (found[1], found[2]) if found else None


def visible(text: str) -> str:
    """The same text with every character that cannot be seen written as ``⟨U+202E⟩``; tabs stay, a new line is ⏎."""
    return "".join(visible_character(c) for c in text)


def visible_character(c: str) -> str:
    """One character as a reader can see it."""
    if c == "\n":
        return "⏎"
    if c == "\t" or (c.isprintable() and c not in INVISIBLE and not 0xE0100 <= ord(c) <= 0xE01EF):
        return c
    return f"⟨U+{ord(c):04X}⟩"


def unheard(line: str) -> str:
    """A line that is no Markdown, as a title or the subject of a commit, in which no forge finds anybody to call.

    GitLab mails whoever a title names, Pagure shows pictures in it, and a commit that "fixes #12" closes it: a word
    joiner parts sign and name.
    """
    return CALL.sub(lambda found: f"{found[0]}\u2060", line)


def cut(text: str, limit: int) -> str:
    """At most *limit* characters; an ellipsis says that there was more."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def one_line(text: str, limit: int) -> str:
    """Visible text on one line, white space folded, not longer than *limit*."""
    # What is far too long is cut first: a host may answer with megabytes.
    return cut(" ".join(visible(" ".join(text[: 20 * limit].split())).split()), limit)


def text(value: str, *, limit: int = TEXT_LENGTH) -> str:
    """Inline text from our own words and names: plain words as they are, all else in code spans."""
    runs: list[tuple[bool, list[str]]] = []
    for number, word in enumerate(one_line(value, limit).split(" ")):
        plain = is_plain(word, first=number == 0)
        if not runs or runs[-1][0] is not plain:
            runs.append((plain, []))
        runs[-1][1].append(word)
    return " ".join(" ".join(words) if plain else coded(" ".join(words)) for plain, words in runs if words != [""])


def is_plain(word: str, *, first: bool) -> bool:
    """Whether no forge makes anything of a word. *first*: where ``1.`` or ``2)`` would begin a list."""
    if COMMIT.search(word) or (first and LIST_ITEM.fullmatch(word)):
        return False
    return bool(PLAIN.fullmatch(word))


def coded(words: str) -> str:
    """Words as code, the punctuation round them outside."""
    parts = CORE.fullmatch(words)
    if parts is None or not parts[2]:
        return code(words, limit=TEXT_LENGTH)
    return f"{parts[1]}{code(parts[2], limit=TEXT_LENGTH)}{parts[3]}"


def code(value: str, *, limit: int = CODE_LENGTH) -> str:
    """Any string as inline code, in paragraphs, lists and table cells alike: one line, cut at *limit* characters."""
    line = one_line(value, limit) or "(empty)"
    return html_code(line, limit=limit) if ENTITY_NEEDED & set(line) else f"`{line}`"


def html_code(value: str, *, limit: int = CODE_LENGTH) -> str:
    """The same where Markdown is not read, as in a summary: HTML in which no sign has a meaning."""
    line = one_line(value, limit) or "(empty)"
    pieces = [entity(c) for c in line]
    # Entities are long: a name made of nothing else may not crowd out what a reader has to see.
    while sum(map(len, pieces)) > 4 * limit:
        pieces = [*pieces[: len(pieces) // 2], "…"]
    return f"<code>{WWW.sub('www&#x2e;', ''.join(pieces))}</code>"


def entity(c: str) -> str:
    """A character as HTML: hexadecimal, because ``#64`` would be the number of a ticket."""
    if c.isalnum() or c in HARMLESS:
        return c
    # GitHub looks for mail addresses after entities are resolved, but not across the border of two pieces of HTML.
    return "&#x40;<!-- -->" if c == "@" else f"&#x{ord(c):x};"


def names(values: Sequence[str], most: int) -> str:
    """``a, b and 5 more``, each as code."""
    shown = [code(value, limit=80) for value in values[:most]]
    rest = len(values) - len(shown)
    if rest > 0:
        return f"{', '.join(shown)} and {rest} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def link(label: str, url: str) -> str:
    """A link from finished Markdown to an address that we made; the label alone where there is none."""
    usable = url.startswith(("https://", "http://")) and len(url) <= URL_LENGTH
    return f"[{label}]({address(url)})" if usable else label


def address(url: str) -> str:
    """An address that no character can lead out of; what is not allowed in one is escaped with percent signs."""
    return percent(url, "-._~:/?#=%+,;&")


@dataclass(frozen=True, slots=True)
class Lines:
    """Where people see the lines of the files of one commit: what stands before a path, and between it and a line."""

    before: str
    between: str

    def below(self, folder: str) -> Lines:
        """The same for paths below *folder*, which is "" or ends with a slash."""
        return Lines(f"{self.before}{percent(folder, '-._~/')}", self.between)

    def url(self, path: str, line: int) -> str:
        """The address of a line of a file (from the root of the repository)."""
        return f"{self.before}{percent(path, '-._~/')}{self.between}{line}"


def percent(text: str, safe: str) -> str:
    """*text* with percent signs for everything but ASCII letters, digits and the characters of *safe*."""
    return "".join(c if (c.isascii() and c.isalnum()) or c in safe else escaped(c) for c in text)


def escaped(c: str) -> str:
    """One character in percent signs."""
    return "".join(f"%{byte:02X}" for byte in c.encode(errors="replace"))


def fence(lines: Iterable[str], info: str = "diff") -> str:
    """Lines as a block of code: its fence is longer than any run of backticks in them."""
    shown = [fenced_line(line) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    ticks = "`" * max(3, longest + 1)
    return "\n".join([ticks + info, *shown, ticks])


def fenced_line(line: str) -> str:
    """One line of a block: visible, cut, and no command to a forge."""
    shown = cut(visible(line[: 2 * LINE_LENGTH]).rstrip(), LINE_LENGTH)
    return f" {shown}" if shown.startswith(LINE_COMMANDS) else shown


def details(summary: str, body: str, *, folds: bool = True) -> str:
    """A folded section. *summary* is HTML: our own words and ``html_code``.

    Without *folds* the summary is a heading in bold, and may be Markdown: our own words and ``code``.
    """
    if not folds:
        return f"**{summary}**\n\n{body}"
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def bullets(items: Sequence[str], *, most: int, room: int) -> str:
    """A list of finished lines; beyond *most* of them or *room* characters they are counted."""
    lines: list[str] = []
    for item in items[:most]:
        room -= len(item) + 3
        if room < 0:
            break
        lines.append(f"- {item}")
    rest = len(items) - len(lines)
    return "\n".join([*lines, f"- and {rest} more"] if rest > 0 else lines)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of finished cells: the first column to the left, numbers to the right."""
    rule = ["---", *("--:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


@dataclass(frozen=True, slots=True)
class Section:
    """A piece of a text that is kept or left out as a whole.

    The lower its *rank*, the longer it is kept. ``counts`` says what is missing without it, as ``{"diff": 1}``:
    nouns in the singular, whose plural ends in s.
    """

    body: str
    rank: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)


def assemble(sections: Sequence[Section], limit: int, record_url: str = "") -> str:
    """The sections in their order, in at most *limit* characters; what is left out is counted before the last one."""
    everything = join(sections)
    if len(everything) <= limit:
        return everything
    kept = choose(sections, limit - len(missing(sections, record_url)) - 2)
    left = [section for i, section in enumerate(sections) if i not in kept]
    chosen = [section for i, section in enumerate(sections) if i in kept]
    return join([*chosen[:-1], Section(missing(left, record_url)), *chosen[-1:]]) if chosen else ""


def choose(sections: Sequence[Section], room: int) -> set[int]:
    """The numbers of the sections that fit, those of low rank first."""
    kept: set[int] = set()
    for index in sorted(range(len(sections)), key=lambda i: (sections[i].rank, i)):
        size = len(sections[index].body) + 2
        if size <= room:
            kept.add(index)
            room -= size
    return kept


def join(sections: Iterable[Section]) -> str:
    """Sections as one text, a blank line between them."""
    return "\n\n".join(section.body for section in sections if section.body)


def missing(left: Iterable[Section], record_url: str) -> str:
    """``12 more diffs are in the record.``"""
    totals: dict[str, int] = {}
    for section in left:
        for noun, number in section.counts.items():
            totals[noun] = totals.get(noun, 0) + number
    if not totals:
        return ""
    nouns = " and ".join(counted(number, f"more {noun}") for noun, number in totals.items())
    verb = "is" if sum(totals.values()) == 1 else "are"
    where = f"in {link('the record', record_url)}" if record_url else "left out: they do not fit here"
    return f"{nouns} {verb} {where}."


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 host``, ``2 hosts``."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"
