"""The jobs of cron that carry Ansible's comment.

Runs on the hosts, bundled with the other collectors; imports nothing but the standard library.
"""

import os

CAP = 1024 * 1024  # bytes of one crontab
MARK = "#Ansible: "
SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron")  # of Debian and of Red Hat


def collect(asked):
    """A user's name or a path → ``{"jobs": {name: line}}``; params ``{"user": name}`` or ``{"file": path}``."""
    return {key: answer_crontab(params) for key, params in asked.items()}


def grounds(asked):
    """A user's name or a path → what its fact stands on."""
    return {
        key: [params["file"]] if params.get("file") else list_crontabs(params["user"]) for key, params in asked.items()
    }


def list_crontabs(user):
    """The paths where a user's crontab may be; the first folder that exists decides."""
    return [os.path.join(spool, user) for spool in SPOOLS] + [SPOOLS[0]] * (not os.path.isdir(SPOOLS[0]))


def answer_crontab(params):
    """The jobs of one crontab. One that is not there has none."""
    try:
        path = params.get("file") or find_crontab(params["user"])
        with open(path, "rb") as stream:
            return {"jobs": parse_jobs(stream.read(CAP).decode("utf-8", "replace"))}
    except (FileNotFoundError, NotADirectoryError):
        return {"jobs": {}}
    except Exception as error:
        return {"error": "the crontab cannot be read: %s" % (getattr(error, "strerror", None) or error)}


def find_crontab(user):
    """The path of a user's crontab; a name can be no path."""
    if "/" in user or user.startswith("."):
        raise ValueError("no such user")
    return os.path.join(next((spool for spool in SPOOLS if os.path.isdir(spool)), SPOOLS[0]), user)


def parse_jobs(text):
    """Job name → the line below its comment, read in pairs and the first of a name, as Ansible reads them."""
    jobs, name = {}, None
    for line in text.splitlines():
        if name is not None:
            jobs.setdefault(name, line)
            name = None
        elif line.startswith(MARK):
            name = line[len(MARK) :]
    return jobs
