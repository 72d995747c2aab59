"""What is at a path: its type, permissions, hash, and content where that differs from what is wanted.

Runs on the hosts, bundled with the other collectors; imports nothing but the standard library.
It changes nothing, follows no link in the last part of a path, and opens regular files only.
"""

import base64
import grp
import os
import pwd
import stat

try:  # hashlib would load all of OpenSSL, 4 MB on every host, for this one function.
    from _sha2 import sha256
except ImportError:
    try:
        from _sha256 import sha256  # Python before 3.12
    except ImportError:
        from hashlib import sha256

CONTENT_CAP = 64 * 1024  # bytes of one file; a diff of more is read by nobody
CONTENT_BUDGET = 1024 * 1024  # characters of all files together; an answer that is too large is no answer
HASH_CAP = 256 * 1024 * 1024  # bytes; nothing of this size comes out of a git repository
CHUNK = 1024 * 1024


def collect(asked):
    """Path → ``{"hash": bool, "unless": sha256 or absent, "cap": bytes or absent}`` in, path → fact out."""
    facts = gather(asked)
    keep_within_budget(facts)
    return facts


def gather(asked):
    """The facts before the budget of all of them together is applied."""
    names = {}
    return {path: answer_path(path, params, names) for path, params in asked.items()}


def grounds(asked):
    """Path → what its fact stands on."""
    return {path: [path, *list_owners(path)] for path in asked}


def list_owners(path):
    """The accounts whose names are part of the fact."""
    try:
        status = os.lstat(path.encode("utf-8", "surrogateescape"))
    except (OSError, ValueError):
        return []
    return ["user:%d" % status.st_uid, "group:%d" % status.st_gid]


def keep_within_budget(facts):
    """Leave out the content of the files that come after the budget is spent."""
    left = CONTENT_BUDGET
    for fact in facts.values():
        left -= len(fact.get("content", ""))
        if left < 0:
            fact.pop("content", None)


def answer_path(path, params, names):
    """The fact of one path, or ``{"error": ...}``: nothing about one path ends the others."""
    try:
        return describe_path(path.encode("utf-8", "surrogateescape"), params, names)
    except (FileNotFoundError, NotADirectoryError):
        return {"state": "absent"}
    except Exception as error:
        return {"error": "%s cannot be looked at: %s" % (path, getattr(error, "strerror", None) or error)}


def describe_path(path, params, names):
    """The fact of one path; *names* remembers the accounts that were looked up."""
    status = os.lstat(path)
    if stat.S_ISREG(status.st_mode) and params.get("hash"):
        return describe_content(path, params, names)
    fact = describe_status(status, names)
    if fact["state"] == "link":
        fact["target"] = os.readlink(path).decode("utf-8", "replace")
    return fact


def describe_content(path, params, names):
    """The fact of a regular file with its hash, all of one open file, whatever happens to the path meanwhile."""
    # Without O_NONBLOCK a named pipe put there this moment would hold us for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        fact = describe_status(status, names)
        if fact["state"] == "file":
            fact.update(digest_content(descriptor, status.st_size, params))
        return fact
    finally:
        os.close(descriptor)


def digest_content(descriptor, size, params):
    """``sha256``, and ``content`` where it is asked for; a file above HASH_CAP has neither."""
    if size > HASH_CAP:
        return {"sha256": None}
    digest = sha256()
    kept = []
    keep = "unless" in params and size <= params.get("cap", CONTENT_CAP)
    # No further than the size it had: a log that grows as fast as it is read would never end.
    while size > 0:
        chunk = os.read(descriptor, min(CHUNK, size))
        if not chunk:
            break
        size -= len(chunk)
        digest.update(chunk)
        if keep:
            kept.append(chunk)
    fact = {"sha256": digest.hexdigest()}
    if keep and fact["sha256"] != params["unless"]:
        fact["content"] = base64.b64encode(b"".join(kept)).decode("ascii")
    return fact


def describe_status(status, names):
    """Type, permissions and size, from what stat says."""
    return {
        "state": name_type(status.st_mode),
        "mode": "%04o" % stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "owner": name_account(pwd.getpwuid, status.st_uid, names),
        "group": name_account(grp.getgrgid, status.st_gid, names),
        "size": status.st_size,
    }


def name_type(mode):
    """``file``, ``directory``, ``link`` or ``other``."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"


def name_account(look_up, number, names):
    """The name of a user or group, or its number where it has none; each is looked up once."""
    if (look_up, number) not in names:
        try:
            names[look_up, number] = look_up(number)[0]
        except KeyError:
            names[look_up, number] = str(number)
    return names[look_up, number]
