"""Drift that needs a person, as people meet it on a forge: tickets, and the branches that offer a way out."""

from __future__ import annotations

import yaml

from reconciler.model import Verdict
from tests.loop.bench import MOTD, git
from tests.loop.forged import Forged

BOTH = ("web1", "web2")
DRIFTED = "copy[/etc/motd] drifted (content) on"
SITE_CONF = "/srv/site/site.conf"


def drift(forged: Forged, *hosts: str, text: str = "by hand", looks: int = 2) -> None:
    """Somebody edits the message of the day on some hosts, and the daemon looks at it so often."""
    for host in hosts:
        forged.hosts.edit(host, "/etc/motd", text)
    forged.cycles(looks)


# Tickets.


def test_drift_on_two_hosts_is_one_ticket_after_two_looks(observing: Forged) -> None:
    drift(observing, *BOTH, looks=1)
    assert observing.tickets == []
    observing.cycles(3)
    ticket = observing.ticket
    assert ticket.title == f"{DRIFTED} web1 and web2"
    assert "**`copy[/etc/motd]` is not as declared on `web1` and `web2`**" in ticket.body
    assert "+hello" in ticket.body
    assert "all.yml" in ticket.body
    assert observing.hosts.text("web1", "/etc/motd") == "by hand", "nothing is put right in observe mode"


def test_the_ticket_offers_three_ways_out(observing: Forged) -> None:
    drift(observing, *BOTH)
    ticket, adoption = observing.ticket, observing.adoption
    name = fingerprint(observing)
    assert f"- **Keep it**: merge [#{adoption.number}]" in ticket.body
    assert "- **Put it back**: set `mode: enforce` for it in git." in ticket.body
    assert "- **Not now**: [merge this branch]" in ticket.body
    assert f"main...reconciler/waive/{name}" in ticket.body
    assert {f"reconciler/waive/{name}", f"reconciler/adopt/{name}"} < observing.branches().keys()


def test_an_open_ticket_is_not_touched_while_nothing_changes(observing: Forged) -> None:
    drift(observing, *BOTH, looks=4)
    writes = len(observing.fake.writes)
    observing.cycles(3)
    assert len(observing.fake.writes) == writes


def test_a_third_host_joins_the_ticket_and_people_are_called(observing: Forged) -> None:
    drift(observing, *BOTH)
    before = observing.ticket.number
    drift(observing, "db1")
    assert observing.ticket.number == before
    assert observing.ticket.title == f"{DRIFTED} db1, web1 and web2"
    assert observing.notes(before) == ["Now also on `db1`."]
    observing.cycles(2)
    assert len(observing.notes(before)) == 1


def test_other_words_in_the_file_are_news(observing: Forged) -> None:
    drift(observing, *BOTH)
    drift(observing, *BOTH, text="by another hand")
    assert "-by another hand" in observing.ticket.body
    (note,) = observing.notes(observing.ticket.number)
    assert "What differs has changed" in note


def test_a_ticket_is_closed_only_when_its_own_check_saw_it_clean(observing: Forged) -> None:
    drift(observing, *BOTH)
    observing.hosts.down = {"web2": "no route to host"}
    drift(observing, *BOTH, text="hello", looks=2)
    ticket = observing.ticket
    assert ticket.state == "open", "a host that is not seen is not clean"
    assert "`web2` could not be looked at: `no route to host`" in ticket.body
    observing.hosts.down = {}
    observing.cycle()
    assert observing.ticket.state == "closed"
    assert observing.notes(ticket.number) == ["Clean again: `web1` and `web2`."]


def test_what_comes_back_within_a_month_is_the_same_ticket(observing: Forged) -> None:
    drift(observing, "web1")
    drift(observing, "web1", text="hello", looks=1)
    observing.sleep(days=29)
    drift(observing, "web1")
    ticket = observing.ticket
    assert ticket.state == "open"
    assert [note.partition(" ")[0] for note in observing.notes(ticket.number)] == ["Clean", "It"]
    assert f"- **Keep it**: merge [#{ours(observing)[-1].number}]" in ticket.body


def test_what_comes_back_later_is_another_ticket(observing: Forged) -> None:
    drift(observing, "web1")
    drift(observing, "web1", text="hello", looks=1)
    observing.sleep(days=31)
    drift(observing, "web1")
    assert [ticket.state for ticket in observing.tickets] == ["closed", "open"]


def test_what_comes_back_after_it_was_forgotten_is_another_ticket(observing: Forged) -> None:
    drift(observing, "web1")
    drift(observing, "web1", text="hello", looks=1)
    observing.sleep(days=31)
    observing.cycle()
    assert observing.world.state.slots("ticket/") == []
    drift(observing, "web1")
    assert [ticket.state for ticket in observing.tickets] == ["closed", "open"]
    assert observing.notes(observing.tickets[1].number) == []


def test_a_repair_that_fails_is_a_ticket_until_it_works(forged: Forged) -> None:
    forged.hosts.broken = {"/etc/motd"}
    drift(forged, "web1", looks=3)
    ticket = forged.ticket
    assert ticket.title == "copy[/etc/motd] cannot be put right on web1"
    assert "Read-only file system" in ticket.body
    forged.hosts.broken = set()
    forged.cycle()
    assert forged.ticket.state == "closed"


def test_a_repair_that_fails_again_after_a_month_is_another_ticket(forged: Forged) -> None:
    for broken in ({"/etc/motd"}, set()):
        forged.hosts.broken = broken
        drift(forged, "web1", looks=1)
    forged.sleep(days=31)
    forged.hosts.broken = {"/etc/motd"}
    drift(forged, "web1", looks=1)
    assert [ticket.state for ticket in forged.tickets] == ["closed", "open"]


def test_drift_that_is_put_right_at_once_is_no_ticket(forged: Forged) -> None:
    drift(forged, "web1")
    assert forged.hosts.text("web1", "/etc/motd") == "hello"
    assert not forged.fake.issues
    assert forged.branches().keys() == {"main", "audit/main"}


def test_drift_again_and_again_is_a_ticket(forged: Forged) -> None:
    drift(forged, "web1", looks=1)
    drift(forged, "web1", looks=1)
    assert not forged.fake.issues
    drift(forged, "web1", looks=1)
    ticket = forged.ticket
    assert ticket.title == "copy[/etc/motd] drifts again and again on web1"
    assert "2026-11-22 19:41 UTC, 2026-11-22 19:42 UTC, 2026-11-22 19:43 UTC" in ticket.body
    forged.sleep(hours=25)
    forged.cycle()
    assert forged.ticket.state == "closed"


def test_three_times_in_two_days_are_not_again_and_again(forged: Forged) -> None:
    for _ in range(3):
        drift(forged, "web1", looks=1)
        forged.sleep(hours=13)
    assert not forged.fake.issues


def test_a_host_that_is_not_seen_for_long_is_a_ticket(forged: Forged) -> None:
    forged.cycle()
    forged.hosts.down = {"web2": "no route to host"}
    forged.cycle(after=3000)
    assert not forged.fake.issues
    forged.sleep(minutes=20)
    forged.cycles(2)
    assert forged.ticket.title == "web2 is not seen"
    assert "no route to host" in forged.ticket.body
    forged.hosts.down = {}
    forged.cycle()
    assert forged.ticket.state == "closed"


def test_how_long_may_be_configured(forged: Forged) -> None:
    forged.configure(blind_after="3h")
    forged.cycle()
    forged.hosts.down = {"web2": "no route to host"}
    forged.cycle(after=7200)
    forged.cycle(after=7200)
    assert not forged.fake.issues
    forged.cycle()
    assert forged.ticket.title == "web2 is not seen"


def test_beyond_the_cap_there_is_one_ticket_that_lists_the_rest(observing: Forged) -> None:
    observing.configure(tickets=1)
    for host in BOTH:
        observing.hosts.edit(host, SITE_CONF, "by hand")
    drift(observing, "db1", *BOTH)
    first, dashboard = observing.tickets
    assert first.title == f"{DRIFTED} db1, web1 and web2", "what is on most hosts goes first"
    assert dashboard.title == "1 more cause needs a person"
    assert "/srv/site/site.conf" in dashboard.body
    drift(observing, "db1", *BOTH, text="hello")
    assert first.state == dashboard.state == "closed"
    assert observing.tickets[2].title.startswith("template[/srv/site/site.conf] drifted")


def test_with_no_tickets_at_all_the_forge_is_left_in_peace(observing: Forged) -> None:
    observing.configure(tickets=0)
    drift(observing, *BOTH)
    assert not observing.fake.issues


def test_what_a_person_closed_is_left_until_there_is_news(observing: Forged) -> None:
    drift(observing, "web1")
    number = observing.ticket.number
    observing.fake.close(number)
    observing.cycles(3)
    assert observing.ticket.state == "closed"
    assert observing.notes(number) == []
    drift(observing, "web2")
    assert observing.ticket.state == "open"
    (note,) = observing.notes(number)
    assert note.startswith("There is news on `web1` and `web2`")


def test_what_a_person_closed_ends_quietly(observing: Forged) -> None:
    drift(observing, "web1")
    observing.fake.close(observing.ticket.number)
    observing.cycle()
    drift(observing, "web1", text="hello")
    assert observing.notes(observing.ticket.number) == []
    assert observing.branches().keys() == {"main", "audit/main"}, "what was prepared for it goes with it"
    assert observing.adoption.state == "closed"


def test_what_a_person_deleted_is_left_until_there_is_news(observing: Forged) -> None:
    drift(observing, "web1")
    del observing.fake.issues[observing.ticket.number]
    observing.cycles(3)
    assert observing.tickets == []
    drift(observing, "web2")
    assert observing.ticket.title == f"{DRIFTED} web1 and web2"


def test_a_strangers_ticket_with_our_marker_is_left_alone(observing: Forged) -> None:
    drift(observing, "web1")
    marker = observing.ticket.body.partition("\n")[0]
    del observing.fake.issues[observing.ticket.number]
    theirs = observing.fake.strangers_issue("mine", f"{marker}\n\nNothing to see here.")
    observing.cycle()
    drift(observing, "web2")
    assert (theirs.title, theirs.body) == ("mine", f"{marker}\n\nNothing to see here.")
    assert "web2" in observing.ticket.title


def test_a_lost_state_opens_no_second_ticket(observing: Forged) -> None:
    drift(observing, *BOTH)
    observing.lose_state()
    observing.cycles(3)
    assert observing.ticket.state == "open"
    assert len(ours(observing)) == 1, "nor a second pull request"


# Adoption.


def test_merging_the_adoption_makes_the_plan_empty_and_closes_the_ticket(observing: Forged) -> None:
    drift(observing, "db1", *BOTH)
    pull = observing.adoption
    assert pull.title == "adopt copy[/etc/motd] as it is on db1, web1 and web2"
    assert "Merging it changes nothing on any host. It edits `all.yml`." in pull.body
    branch = f"refs/heads/reconciler/adopt/{fingerprint(observing)}"
    assert git("rev-list", "--count", f"main..{branch}", at=observing.bench.remote) == "1"
    assert changed_lines(observing, f"main {branch}") == ["-    - content: hello", "+    - content: by hand"]
    observing.cycle()
    assert "**Changes nothing.**" in observing.comment(pull.number)
    observing.merge(pull.number)
    merged = observing.cycle().plan
    assert all(change.verdict is Verdict.AHEAD for host in merged.hosts for change in host.changes)
    assert observing.ticket.state == "closed"
    assert observing.branches().keys() == {"main", "audit/main"}
    assert [host.changes for host in observing.cycle().plan.hosts] == [(), (), ()]
    assert len(ours(observing)) == 1


def test_whole_files_are_adopted(observing: Forged) -> None:
    observing.bench.push({"files/motd": "hello", "all.yml": MOTD.replace("content: hello", "src: motd")})
    observing.cycle()
    drift(observing, "db1", *BOTH, text="first line\nsecond line\n")
    observing.merge(observing.adoption.number)
    git("fetch", "-q", observing.bench.remote, "main", at=observing.bench.clone)
    assert (observing.bench.clone / "desired-state/files/motd").read_text() == "first line\nsecond line\n"
    observing.cycle()
    assert observing.ticket.state == "closed"


def test_the_adoption_is_made_anew_when_main_moves(observing: Forged) -> None:
    drift(observing, *BOTH)
    number, old = observing.adoption.number, observing.adoption.head
    main = observing.bench.push({"all.yml": f"# a remark\n{MOTD}"})
    observing.cycle()
    pull = observing.adoption
    assert (pull.number, pull.state) == (number, "open")
    assert pull.head != old
    assert git("rev-parse", f"{pull.head}^", at=observing.bench.remote) == main


def test_the_adoption_is_made_anew_when_the_host_changes(observing: Forged) -> None:
    drift(observing, *BOTH)
    drift(observing, *BOTH, text="by another hand")
    assert "by another hand" in git("show", observing.adoption.head, at=observing.bench.remote)


def test_a_branch_that_a_person_pushed_to_is_left_to_them(observing: Forged) -> None:
    drift(observing, *BOTH)
    branch = observing.adoption.branch
    theirs = observing.push_to(branch, {"all.yml": MOTD.replace("hello", "better")})
    observing.bench.push({"all.yml": f"# a remark\n{MOTD}"})
    observing.cycles(2)
    assert observing.branches()[branch] == theirs
    assert "a person has changed the branch that was prepared; it is left to them" in observing.ticket.body
    drift(observing, *BOTH, text="hello", looks=1)
    assert observing.ticket.state == "closed"
    assert observing.branches()[branch] == theirs, "it is not deleted either"


def test_an_adoption_that_is_moot_is_closed_and_its_branch_deleted(observing: Forged) -> None:
    drift(observing, *BOTH)
    drift(observing, *BOTH, text="hello", looks=1)
    assert observing.adoption.state == "closed"
    assert observing.branches().keys() == {"main", "audit/main"}


def test_an_adoption_that_a_person_closed_is_not_opened_again(observing: Forged) -> None:
    drift(observing, *BOTH)
    observing.fake.close(observing.adoption.number)
    observing.bench.push({"all.yml": f"# a remark\n{MOTD}"})
    observing.cycles(2)
    assert observing.adoption.state == "closed"
    assert f"#{observing.adoption.number}, which adopts it, was closed by a person" in plain(observing.ticket.body)


def test_without_adoption_the_other_ways_stay(observing: Forged) -> None:
    observing.configure(adopt=False)
    drift(observing, *BOTH)
    assert not ours(observing)
    assert "**Keep it**" not in observing.ticket.body
    assert "**Not now**" in observing.ticket.body


# Waivers.


def test_merging_the_waiver_silences_the_ticket_until_its_day(observing: Forged) -> None:
    drift(observing, "web1")
    name = fingerprint(observing)
    observing.merge_ref(f"refs/heads/reconciler/waive/{name}")
    (waiver,) = yaml.safe_load((observing.bench.clone / "desired-state/reconciler.yml").read_text())["waivers"]
    assert (waiver["resource"], waiver["hosts"], str(waiver["until"])) == ("copy[/etc/motd]", "web1", "2026-12-06")
    observing.cycle()
    ticket = observing.ticket
    assert ticket.state == "open", "what is waived is not clean"
    assert "waived until" in ticket.body
    assert "Keep it" not in ticket.body
    observing.sleep(days=13)
    writes = len(observing.fake.writes)
    observing.cycle()
    assert not [entry for entry in observing.fake.writes[writes:] if "issues" in entry.path and "/1/" not in entry.path]
    observing.sleep(days=2)
    observing.cycles(2)
    assert "**`copy[/etc/motd]` is not as declared on `web1`**" in ticket.body
    assert "waives it until `2026-12-14`" in ticket.body
    assert observing.hosts.text("web1", "/etc/motd") == "by hand"


def test_a_waived_difference_that_goes_away_closes_its_ticket(observing: Forged) -> None:
    drift(observing, "web1")
    observing.merge_ref(f"refs/heads/reconciler/waive/{fingerprint(observing)}")
    observing.cycle()
    drift(observing, "web1", text="hello", looks=1)
    assert observing.ticket.state == "closed"
    assert observing.branches().keys() == {"main", "audit/main"}


# Reading.


def fingerprint(forged: Forged) -> str:
    """Of the only ticket, as its marker has it."""
    return forged.ticket.body.partition(" -->")[0].rpartition("/")[2]


def ours(forged: Forged) -> list:
    """Every pull request of ours."""
    return [pull for pull in forged.fake.pulls.values() if pull.author == forged.fake.login]


def plain(body: str) -> str:
    """A body without the marks of code."""
    return body.replace("`", "").replace("<code>", "").replace("</code>", "").replace("&#x23;", "#")


def changed_lines(forged: Forged, between: str) -> list[str]:
    """The lines that differ between two commits."""
    lines = git("diff", "-U0", *between.split(" "), at=forged.bench.remote).splitlines()
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]
