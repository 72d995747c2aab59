"""Kernel settings: the running value below /proc/sys, and the one kept in a file for the next boot.

Runs on the hosts, bundled with the other collectors; imports nothing but the standard library.
"""

import os

CAP = 1024 * 1024  # bytes of one file
PAGE = 4096  # bytes; nearly every setting is shorter, and the kernel clears as much memory as it is asked to fill


def collect(asked):
    """Name → ``{"value": str or None, "persisted": str or None}``; params ``{"file": path}``."""
    files = {}
    return {name: answer_setting(name, params, files) for name, params in asked.items()}


def grounds(asked):
    """Name → what its fact stands on, beside the kernel, which never tells."""
    return {name: [params["file"], None] for name, params in asked.items()}


def answer_setting(name, params, files):
    """The fact of one setting, or why there is none; *files* remembers what was read for others."""
    try:
        path = to_path(name)
        if ".." in path.split("/"):
            return {"error": "%s is not a setting" % name}
        content = read(os.path.join("/proc/sys", path))
        value = None if content is None else " ".join(content.split())
        if params["file"] not in files:
            files[params["file"]] = read(params["file"])
        return {"value": value, "persisted": last_assignment(files[params["file"]], path)}
    except Exception as error:
        return {"error": "%s cannot be read: %s" % (name, getattr(error, "strerror", None) or error)}


def to_path(name):
    """The path below /proc/sys. The first separator of a name, dot or slash, is the one that it separates with."""
    slash, dot = name.find("/"), name.find(".")
    return name if slash >= 0 and (dot < 0 or slash < dot) else name.translate(str.maketrans("./", "/."))


def read(path):
    """The text of a file, or None where there is none."""
    try:
        with open(path, "rb", buffering=0) as stream:
            text = stream.read(PAGE)
            if len(text) == PAGE:
                stream.seek(0)
                text = stream.read(CAP)
            return text.decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def last_assignment(text, path):
    """The value that a file of sysctl.d gives a setting last, in whichever way the name is written."""
    value = None
    for line in (text or "").splitlines():
        name, equals, given = line.strip().partition("=")
        name = name.strip().lstrip("-").strip()
        if equals and not name.startswith(("#", ";")) and to_path(name) == path:
            value = " ".join(given.split())
    return value
