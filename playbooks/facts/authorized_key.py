"""The public keys that may log in as a user.

Runs on the hosts, bundled with the other collectors; imports nothing but the standard library.
It changes nothing. The user owns the way to the file, so no link is followed and only plain files are read.
"""

import errno
import os
import pwd
import stat

CAP = 1024 * 1024  # bytes; thousands of keys
TYPES = ("ssh-", "ecdsa-", "sk-")


def collect(asked):
    """``user`` or ``user:path`` → its fact; params ``{"user": str, "path": str or absent}``.

    A fact is ``{"state": "file", "keys": {base64: options}}``, ``{"state": "absent"}``, or
    ``{"state": "refused", "reason": str}`` where sshd or we would not read the file.
    """
    return {key: answer_keys(params) for key, params in asked.items()}


def grounds(asked):
    """``user`` or ``user:path`` → what its fact stands on."""
    return {key: list_grounds(params) for key, params in asked.items()}


def list_grounds(params):
    """The account, the file and its folder, whose owners count."""
    account = "user:" + params["user"]
    try:
        path = find_file(params, pwd.getpwnam(params["user"]))
    except KeyError:
        return [account]
    return [account, os.path.dirname(path), path]


def find_file(params, entry):
    """The path of the keys of an account."""
    return params.get("path") or os.path.join(entry.pw_dir, ".ssh", "authorized_keys")


def answer_keys(params):
    """The fact of one file."""
    try:
        entry = pwd.getpwnam(params["user"])
        folder, name = os.path.split(find_file(params, entry))
        return {"state": "file", "keys": parse_keys(read_keys(folder, name, entry.pw_uid))}
    except (KeyError, FileNotFoundError):
        return {"state": "absent"}
    except PermissionError as error:
        return {"error": "%s cannot be read: %s" % (error.filename, error.strerror)}
    except OSError as error:
        return {"state": "refused", "reason": reason_of(error)}
    except Exception as error:
        return {"error": str(error)}


def reason_of(error):
    """Why a file is not read, in words."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "a symbolic link, or no folder, where the user's own is expected"
    return error.strerror or str(error)


def read_keys(folder, name, uid):
    """The content of a file below a folder, neither of them a link, both of root or of the user."""
    below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        check_owner(os.fstat(below), uid, "folder")
        # Without O_NONBLOCK a named pipe in the place of the file would hold us for ever.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=below)
    finally:
        os.close(below)
    try:
        check_owner(os.fstat(file), uid, "file")
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(0, "it is no plain file")
        with open(file, "rb", closefd=False) as stream:
            content = stream.read(CAP + 1)
    finally:
        os.close(file)
    if len(content) > CAP:
        raise OSError(0, "it is larger than 1 MiB")
    return content.decode("utf-8", "replace")


def check_owner(status, uid, what):
    """Refuse what somebody else could change."""
    if status.st_uid not in (0, uid):
        raise OSError(0, "the %s belongs to another user" % what)


def parse_keys(text):
    """Key in base64 → its options, empty where it has none."""
    keys = {}
    for line in map(str.strip, text.splitlines()):
        options, rest = ("", line) if line.startswith(TYPES) else split_options(line)
        words = rest.split()
        if len(words) > 1 and words[0].startswith(TYPES) and not line.startswith("#"):
            keys.setdefault(words[1], options)
    return keys


def split_options(line):
    """The options before a key and what follows: a blank inside double quotes does not end them."""
    quoted = False
    for at, character in enumerate(line):
        if character == '"' and line[at - 1 : at] != "\\":
            quoted = not quoted
        elif character in " \t" and not quoted:
            return line[:at], line[at:]
    return line, ""
