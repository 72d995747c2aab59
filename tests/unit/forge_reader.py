"""What a forge makes of a Markdown text: read with real parsers, and with the habits of each forge added.

``breaches`` lists what is in a body that is not ours: links, pictures, HTML, mentions, references, commands, blocks
that do not close. GitHub, GitLab and Forgejo render CommonMark with tables (markdown-it-py here) and then look for
references in the text outside code; Pagure renders with Python-Markdown, and looks for mentions in the raw text.
"""

import re
from html.parser import HTMLParser

import markdown
from markdown.extensions.fenced_code import FencedBlockPreprocessor
from markdown_it import MarkdownIt

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PAGURE = markdown.Markdown(
    extensions=["def_list", "fenced_code", "tables", "admonition", "sane_lists", "toc", "nl2br"], output_format="xhtml"
)
OURS = "https://forge.example/"

TAGS = {"p", "strong", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "pre", "code", "a", "br", "h1"}
FOLDS = {"details", "summary"}
QUIET = {"code", "pre"}
VOID = {"br"}
ATTRIBUTES = re.compile(r"(href|class=language-diff|style=text-align: ?(left|right);?|id=plan-of-a-pull-request)$")

REFERENCES = {
    "mention": re.compile(r"@\w"),
    "number": re.compile(r"#\w|\bGH-\d|![\w]", re.IGNORECASE),
    "GitLab reference": re.compile(r"[$~%&^]\w"),
    "emoji": re.compile(r":(?!\d\d:)[-+\w]+:"),
    "address": re.compile(r"://|\bwww\.|mailto:|xmpp:", re.IGNORECASE),
    "mail address": re.compile(r"\S@\S"),
    "repository": re.compile(r"\w/\w+#"),
    "commit": re.compile(r"[0-9a-fA-F]{7}"),
    "wiki link or footnote": re.compile(r"\[[\[^_]|\[toc\]", re.IGNORECASE),
}
PAGURE_MENTION = re.compile(r"(?<![\w\-\"'`$!*+#%&/=^{}|~])@(\w+)")
PAGURE_RELATION = re.compile(r"(?:fix|merge|close|resolve|relate)\w*:?\s*(?:to)?\s*#\d", re.IGNORECASE)
MAIL = re.compile(r"[\w.+-]@[\w-]+\.\w")


class Page(HTMLParser):
    """Rendered HTML, walked as a browser does."""

    def __init__(self, tags):
        super().__init__(convert_charrefs=True)
        self.tags, self.open, self.found, self.row, self.widths = tags, [], [], 0, []

    def handle_starttag(self, tag, attrs):
        if tag not in self.tags:
            self.found.append(f"tag <{tag}>")
        for name, value in attrs:
            if not ATTRIBUTES.match(name if name == "href" else f"{name}={value}"):
                self.found.append(f"attribute {name}={value!r} of <{tag}>")
            if name == "href" and not (value or "").startswith(OURS):
                self.found.append(f"link to {value!r}")
        self.row = 0 if tag == "tr" else self.row + (tag in ("td", "th"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if tag == "tr":
            self.widths.append(self.row)
        if not self.open or self.open.pop() != tag:
            self.found.append(f"</{tag}> closes something else")

    def handle_comment(self, data):
        if data.strip() and not re.fullmatch(r" reconciler:\S+ \S+ ", data):
            self.found.append(f"HTML comment {data!r}")

    def handle_decl(self, decl):
        self.found.append(f"declaration {decl!r}")

    def handle_pi(self, data):
        self.found.append(f"instruction {data!r}")

    def unknown_decl(self, data):
        self.found.append(f"declaration {data!r}")

    def handle_data(self, data):
        if not QUIET & set(self.open):
            self.found += [f"{name} in {data!r}" for name, regex in REFERENCES.items() if regex.search(data)]


def walk(html, tags):
    """What is wrong in a rendered page."""
    page = Page(tags)
    page.feed(html)
    page.close()
    if page.open:
        page.found.append(f"never closed: {page.open}")
    if len(set(page.widths)) > 1:
        page.found.append(f"a table of {page.widths} columns")
    return page.found


def open_fences(body, tokens):
    """Blocks of code that end only because the text does."""
    lines = body.split("\n")
    blocks = [token for token in tokens if token.type == "fence"]
    return [f"open fence {t.map}" for t in blocks if lines[t.map[1] - 1] != t.markup or t.map[1] - t.map[0] < 2]


def mail_links(tokens):
    """Addresses that GitHub makes links of in any piece of text outside ``code`` of Markdown, even inside HTML."""
    inline = (token for token in tokens if token.type == "inline")
    texts = (child.content for token in inline for child in token.children if child.type in ("text", "text_special"))
    return [f"mail address in {text!r}" for text in texts if MAIL.search(text)]


def commands(body):
    """Lines that GitLab reads as commands or quotes before it looks for code."""
    return [f"command {line!r}" for line in body.split("\n") if re.match(r"/|>>>", line)]


def breaches(body, *, folds=True):
    """Everything in a body that a forge would make something of and that we did not mean."""
    tokens = PARSER.parse(body)
    found = walk(PARSER.renderer.render(tokens, PARSER.options, {}), TAGS | (FOLDS if folds else set()))
    found += [*open_fences(body, tokens), *mail_links(tokens), *commands(body)]
    found += [f"mail to {name}" for name in PAGURE_MENTION.findall(unfenced(body))]
    found += [f"relation {match[0]!r}" for match in PAGURE_RELATION.finditer(unfenced(body))]
    if not folds:
        found += walk(PAGURE.reset().convert(body), TAGS)
    return found


def unfenced(body):
    """The text as Pagure looks through it for people to mail."""
    return re.sub(FencedBlockPreprocessor.FENCED_BLOCK_RE, "", body)
