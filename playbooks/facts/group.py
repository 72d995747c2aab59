"""The groups of the host.

Runs on the hosts, bundled with the other collectors; imports nothing but the standard library.
"""

import grp


def collect(asked):
    """Group name → ``{"state": "present", "gid": int}`` or ``{"state": "absent"}``."""
    return {name: answer_group(name) for name in asked}


def grounds(asked):
    """Group name → what its fact stands on."""
    return {name: ["group:" + name] for name in asked}


def answer_group(name):
    """The fact of one group, or why there is none."""
    try:
        return {"state": "present", "gid": grp.getgrnam(name).gr_gid}
    except KeyError:
        return {"state": "absent"}
    except Exception as error:
        return {"error": "group %s cannot be read: %s" % (name, error)}
