"""Previews of real-looking pull requests, made by hand: the material of the comment's tests."""

from dataclasses import replace

from reconciler.model import Mistake, Mode, Place
from reconciler.talk import Action, Foreseen, HostPreview, Kept, Preview, Turn

BASE, HEAD, PLAN = "3f2c1ab" + "0" * 33, "91bd002" + "0" * 33, "7c01e95d2f10"
SEEN_AT = "2026-11-22T19:41:07+00:00"
SITE = "template[/etc/nginx/conf.d/site.conf]"
SITE_DIFF = ("-  worker_connections 1024;", "+  worker_connections 4096;")


def preview(**fields):
    return Preview(**{"base": BASE, "head": HEAD, "fleet": 40, "seen_at": SEEN_AT, "plan": PLAN} | fields)


def change(resource, attribute, before, after, place, **fields):
    return Foreseen(resource, attribute, Action.CHANGE, before, after, place, **fields)


def site(**fields):
    return change(SITE, "content", "sha256:11", "sha256:22", Place("web.yml", 9, 7), diff=SITE_DIFF, **fields)


def enforced(host, *foreseen, group="web", **fields):
    return HostPreview(host, Mode.ENFORCE, group, foreseen=foreseen, **fields)


def web_tier():
    """Nine web servers get the same new line; two of them were edited by hand."""
    edited = {"web3": "sha256:aa55aa55aa55", "web7": "sha256:bb66bb66bb66"}
    return preview(
        hosts=tuple(
            enforced(
                name,
                site(live=(edited[name],) if name in edited else None),
                handlers=("reload nginx",),
                drift=("service[cron]",) if name == "web3" else (),
            )
            for name in (f"web{n}" for n in range(1, 10))
        )
    )


def removal():
    """A user goes, a package goes; one of it cannot be undone; the password of another user changes."""
    gone = Foreseen("user[ada]", "state", Action.REMOVE, "present", None, Place("users.yml", 4), irreversible=True)
    telnet = Foreseen("package[telnetd]", "state", Action.REMOVE, "present", None, Place("baseline.yml", 12))
    word = change("user[backup]", "password", "$6$old", "$6$new", Place("users.yml", 19), secret=True)
    value = change("sysctl[net.core.somaxconn]", "value", "128", "4096", Place("web.yml", 22), live=("1024",))
    new = Foreseen("package[nginx]", "state", Action.ADD, None, "present", Place("web.yml", 3))
    return preview(
        fleet=12,
        hosts=(
            enforced("db1", gone, word, group="db", orphans=("cron[backup]",)),
            enforced("db2", gone, group="db", orphans=("cron[backup]", "file[/srv/dump]")),
            enforced("web1", telnet, value, new, handlers=("restart nginx", "reload sshd", "restart cron")),
            enforced("web2", telnet),
        ),
    )


def wrong():
    """Three mistakes hold four hosts back; the rest would be done; a limit holds one more."""
    found = (
        Mistake(Place("web.yml", 12, 7), "unknown field 'notifi' for template; did you mean 'notify'?"),
        Mistake(Place("db.yml", 3, 10), "hosts 'dbs' matches no host; groups are: db, web"),
        Mistake(Place("baseline.yml", 20, 7), "file[/etc/motd] is declared twice for web1: also web.yml:31:7"),
    )
    held = tuple(enforced(f"web{n}", held=("its manifests have mistakes",)) for n in range(1, 5))
    limit = "4 of 12 hosts would lose something, over the limit of 30 % of the fleet"
    mixed = enforced("db1", site(), group="db", held=(limit,))
    return preview(fleet=12, mistakes=found, hosts=(*held, mixed, enforced("db2", site(), group="db")))


def unknown_hosts():
    """Two hosts join, one leaves; one is not reached, and of one a file was never looked at."""
    fresh = Foreseen("package[nginx]", "state", Action.ADD, None, "present", Place("web.yml", 3), unseen=True)
    return preview(
        fleet=6,
        arriving=("web5", "web6"),
        leaving=("old1",),
        hosts=(
            enforced("web5", fresh, blind="it has never been looked at"),
            enforced("web6", fresh, blind="it has never been looked at"),
            enforced("web1", site(unseen=True), handlers=("reload nginx",)),
            enforced("web9", site(), blind="not seen since 19:30: connection refused"),
        ),
    )


def turned_on():
    """Observe becomes enforce on five hosts, of which two are in drift now."""
    drift = {"db2": ("service[ntp]",), "db4": ("file[/etc/motd]", "service[ntp]")}
    return preview(
        hosts=tuple(
            HostPreview(f"db{n}", Mode.ENFORCE, "db", mode_before=Mode.OBSERVE, drift=drift.get(f"db{n}", ()))
            for n in range(1, 6)
        )
    )


def only_observed():
    """Three hosts would differ and are only observed."""
    return preview(hosts=tuple(HostPreview(f"db{n}", Mode.OBSERVE, "db", foreseen=(site(),)) for n in range(1, 4)))


def some_turned():
    """One file is only observed from now on, on three hosts; a service is enforced on two of them."""
    quiet = Turn("copy[/etc/motd]", Mode.ENFORCE, Mode.OBSERVE)
    loud = Turn("service[ntp]", Mode.OBSERVE, Mode.ENFORCE)
    return preview(
        hosts=(
            enforced("web1", turns=(quiet, loud), drift=("copy[/etc/motd]", "cron[logs]")),
            enforced("web2", turns=(quiet, loud)),
            enforced("web3", turns=(quiet,)),
        ),
        plan="",
    )


def held_in_part():
    """Two hosts get a file; what is only observed there stays, and so does what one of them waives."""
    value = change("sysctl[net.core.somaxconn]", "value", "128", "4096", Place("web.yml", 22))
    observed = Kept(value.resource, "only observed")
    waived = Kept(SITE, "waived until 2026-12-06: the audit is on")
    return preview(
        hosts=(
            enforced("web1", site(), value, held_in_part=(observed,), handlers=("reload nginx",)),
            enforced("web2", site(), value, held_in_part=(observed,), handlers=("reload nginx",)),
            enforced("web3", site(), held_in_part=(waived,)),
        )
    )


STORIES = {
    "nothing": preview,
    "web-tier": web_tier,
    "canaries": lambda: replace(web_tier(), canaries=("web2", "web5")),
    "no-canary": lambda: replace(web_tier(), canaries=("db1",)),
    "removal": removal,
    "mistakes": wrong,
    "unknown-hosts": unknown_hosts,
    "change-of-mode": turned_on,
    "change-of-some-modes": some_turned,
    "only-observed": only_observed,
    "held-in-part": held_in_part,
    "conflict": lambda: preview(conflicts=("web.yml", "templates/site.conf.j2")),
    "refused": lambda: preview(refused="the head is larger than 10 MiB", seen_at=None, plan=""),
}
