"""The accounts of the host.

Runs on the hosts, bundled with the other collectors; imports nothing but the standard library.
It changes nothing. No password leaves the host, hashed or not: only a digest of the hash, and only if asked for.
"""

import grp
import pwd

try:  # hashlib would load all of OpenSSL, 4 MB on every host, for this one function.
    from _sha2 import sha256
except ImportError:
    try:
        from _sha256 import sha256  # Python before 3.12
    except ImportError:
        from hashlib import sha256


def collect(asked):
    """User name → its fact; params ``{"password": bool}``.

    A fact is ``{"state", "uid", "group", "groups", "home", "shell", "comment", "password"}``, where
    ``groups`` are those that name the user as a member and ``password`` is None if not asked for.
    """
    accounts = read_accounts()
    return {name: answer_user(name, params, accounts) for name, params in asked.items()}


def grounds(asked):
    """User name → what its fact stands on: any group may name it as a member."""
    return {
        name: ["user:" + name, "group:"] + (["/etc/shadow"] if params.get("password") else [])
        for name, params in asked.items()
    }


def read_accounts():
    """Groups by number, member → group names: read once, for every user needs all of them."""
    names, members = {}, {}
    for group in grp.getgrall():
        names[group.gr_gid] = group.gr_name
        for member in group.gr_mem:
            members.setdefault(member, set()).add(group.gr_name)
    return names, members


def answer_user(name, params, accounts):
    """The fact of one user, or why there is none."""
    try:
        return describe_user(pwd.getpwnam(name), params, accounts)
    except KeyError:
        return {"state": "absent"}
    except Exception as error:
        return {"error": "user %s cannot be read: %s" % (name, error)}


def describe_user(entry, params, accounts):
    """The fact of one entry of the user database."""
    names, members = accounts
    return {
        "state": "present",
        "uid": entry.pw_uid,
        "group": names.get(entry.pw_gid, str(entry.pw_gid)),
        "groups": sorted(members.get(entry.pw_name, ())),
        "home": entry.pw_dir,
        "shell": entry.pw_shell,
        "comment": entry.pw_gecos,
        "password": digest_password(entry.pw_name) if params.get("password") else None,
    }


def digest_password(name):
    """``sha256:`` and the digest of the password field in /etc/shadow."""
    with open("/etc/shadow", "rb") as shadow:
        for line in shadow:
            fields = line.split(b":")
            if fields[0] == name.encode() and len(fields) > 1:
                return "sha256:" + sha256(fields[1]).hexdigest()
    raise OSError("it has no entry in /etc/shadow")
