"""The line of a file that ``ansible.builtin.lineinfile`` would act on, found the way that module finds it.

Runs on the hosts, bundled with the other collectors; imports nothing but the standard library.
It changes nothing and reads regular files only.
"""

import io
import os
import re
import stat

FILE_CAP = 4 * 1024 * 1024  # bytes; configuration that people edit by line is far smaller
LINE_CAP = 16 * 1024  # bytes of a line that travel


def collect(asked):
    """Name → ``{"path", "line", "regexp", "state"}`` in, name → ``{"file", "line", "present"}`` out.

    ``line`` is the line that would be replaced, or the last that would be removed; None where none is found.
    ``present`` says whether the wanted line, or any line that has to go, is there.
    """
    return {name: answer_line(params) for name, params in asked.items()}


def grounds(asked):
    """Name → what its fact stands on."""
    return {name: [params["path"]] for name, params in asked.items()}


def answer_line(params):
    """The fact of one asked line, or ``{"error": ...}``: nothing about one file ends the others."""
    try:
        return describe_line(params)
    except Exception as error:
        return {"error": "%s cannot be read: %s" % (params.get("path"), getattr(error, "strerror", None) or error)}


def describe_line(params):
    """The fact of one asked line."""
    kind, lines = read_lines(params["path"].encode("utf-8", "surrogateescape"))
    found = find_line(lines, params)
    wanted = params.get("line") if params.get("state") != "absent" else None
    return {
        "file": kind,
        "line": None if found is None else show_line(found),
        "present": found is not None and (wanted is None or found == wanted.encode("utf-8")),
    }


def read_lines(path):
    """``file``, ``absent`` or ``other``, and the lines. Links are followed, as the module does."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return "other", []
        # Without O_NONBLOCK a named pipe put there this moment would hold us for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return "absent", []
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return "other", []
        data = stream.read(FILE_CAP + 1)
    if len(data) > FILE_CAP:
        raise ValueError("it is larger than %d bytes" % FILE_CAP)
    # Lines end at \n only, as in a file that is read line by line; bytes.splitlines would end them at \r too.
    return "file", io.BytesIO(data).readlines()


def find_line(lines, params):
    """The last line in which the expression is found; without one, or where it fails, the last equal to the line."""
    found = find_pattern(lines, params.get("regexp"))
    if params.get("line") is None or (params.get("regexp") is not None and params.get("state") == "absent"):
        return found
    return find_exact(lines, params["line"].encode("utf-8")) if found is None else found


def find_pattern(lines, regexp):
    """The last line in which *regexp* is found, its line end being part of what is searched."""
    if regexp is None:
        return None
    search = re.compile(regexp.encode("utf-8")).search
    return next((line.rstrip(b"\r\n") for line in reversed(lines) if search(line)), None)


def find_exact(lines, wanted):
    """The last line that is *wanted*. Line ends do not count: whether the module puts them right depends on its age."""
    return next((wanted for line in reversed(lines) if line.rstrip(b"\r\n") == wanted), None)


def show_line(line):
    """Text for people and for comparing; what is cut off ends in a sign that no whole line has."""
    text = line[:LINE_CAP].decode("utf-8", "replace")
    return text if len(line) <= LINE_CAP else text + "…"
