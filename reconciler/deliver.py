"""Deliver what is to be said: every slot that does not hold yet what it is to hold, every letter not yet heard.

Called by ``speak``. Before anything is made on the forge it is looked for there, by our marker and our own login, so
that an answer that was lost makes nothing twice; what a stranger wrote under our marker is never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from reconciler.errors import ForgeAway, ForgeError, ForgeRefused, GitError, Gone
from reconciler.markdown import find_marker
from reconciler.repo import Declined
from reconciler.standing import PLAN
from reconciler.state import Slot
from reconciler.talk import CommitStatus, Standing, Ticket
from reconciler.world import World

if TYPE_CHECKING:
    from reconciler.forge import Forge

PATIENCE = 20.0
"""Seconds of one cycle that may go into speaking; hosts come first, and the rest is said in the next."""
IN_A_ROW = 2
"""One failure may be the slot's own, and keeps no other waiting; so many in a row are the forge's."""
UNAUTHORIZED = (401, 403, 301, 302, 303, 307, 308)
"""The token or the secret is wrong, or it all lies elsewhere now: nothing else would be taken, so everything waits."""


def deliver(world: World, prefix: str = "", *, patience: float = PATIENCE) -> None:
    """Say what waits in the slots whose names begin with *prefix*, what pull requests would do last, oldest first.

    It ends when all is said, *patience* (seconds) is over, or the forge has had enough; raises what went wrong.
    """
    forge = world.desk.forge
    if forge is None:
        return
    post, line = Post(world, forge), world.desk.line(world.desk.FORGE)
    failed: list[ForgeError | GitError] = []
    in_a_row, deadline = 0, world.monotonic() + patience
    for name in sorted(world.state.waiting(prefix), key=about_pull_requests):
        if world.stop() or world.monotonic() > deadline or in_a_row == IN_A_ROW:
            break
        slot = world.state.slot(name)
        if slot is None or slot.sent == slot.wanted:
            continue  # said already, on behalf of another
        try:
            post.put(slot)
        except (ForgeError, GitError) as error:
            failed.append(error)
            in_a_row = IN_A_ROW if wait_of(error) else in_a_row + 1
        else:
            # Who takes something is there, and need not be left alone for longer each time.
            in_a_row, line.failures = 0, 0
    if failed:
        raise max(failed, key=wait_of)


def about_pull_requests(slot: str) -> bool:
    """Whether a slot says what a pull request would do: strangers decide how many of those there are."""
    return slot.startswith("comment/") or f"/{PLAN}" in slot


def wait_of(error: ForgeError | GitError) -> float:
    """For how many seconds nothing else may be asked either."""
    return error.wait if isinstance(error, ForgeAway) else 0.0


def tell_ears(world: World) -> None:
    """Let every ear hear its letters in order; one that is away does not keep the others waiting.

    Letters for an ear that the configuration has no more are let go.
    """
    world.state.disown(world.state.unheard().keys() - set(world.desk.ear_names))
    for ear in world.desk.ears:
        letters = world.state.letters(ear.name)
        if not letters:
            continue
        deadline = world.monotonic() + PATIENCE
        with world.desk.speaking(ear.name, world.monotonic, world.say) as speaking:
            for letter in letters if speaking else ():
                if world.stop() or world.monotonic() > deadline:
                    break
                try:
                    ear.hear(letter)
                except ForgeRefused as error:
                    if error.status in UNAUTHORIZED:
                        raise ForgeAway(str(error)) from error
                    world.say(f"{ear.name} will not take {letter.title!r}: {error}")
                world.state.heard(ear.name, letter.id)


@dataclass
class Post:
    """One round of delivery to one forge."""

    world: World
    forge: Forge

    @cached_property
    def tickets(self) -> Mapping[tuple[str, str], Ticket]:
        """Our own tickets by marker, the newest of each; asked only where one is looked for."""
        marked = [(find_marker(ticket.body), ticket) for ticket in self.forge.own_tickets()]
        return {marker: ticket for marker, ticket in reversed(marked) if marker}

    def put(self, slot: Slot) -> None:
        """Make one slot hold what it is to hold; what the forge refuses for good is told and let go."""
        kinds: Mapping[str, Callable[[Slot], Any]] = {
            "comment": self.put_comment,
            "status": self.put_status,
            "ticket": self.put_ticket,
            "note": self.put_note,
            "branch": self.put_branch,
            "pull": self.put_pull,
        }
        try:
            ref = kinds[slot.name.partition("/")[0]](slot)
        except ForgeAway as error:
            if error.unsure and slot.name.startswith(("comment/", "ticket/")):
                self.world.state.refer(slot.name, None)  # so that it is looked at before it is written again
                vars(self).pop("tickets", None)
            raise
        except (ForgeRefused, Declined) as error:
            if isinstance(error, ForgeRefused) and (error.status in UNAUTHORIZED or not self.lets_us_in):
                raise ForgeAway(str(error)) from error
            self.world.say(f"the forge will not take {slot.name}: {error}")
            ref = slot.ref
        self.world.state.holds(slot, ref)

    @cached_property
    def lets_us_in(self) -> bool:
        """Whether the forge shows us the repository; to a token that lost its right to it, all of it is not there."""
        try:
            self.forge.pull_requests(self.world.config.repository.branch)
        except ForgeRefused:
            return False
        return True

    def put_comment(self, slot: Slot) -> str:
        """One sticky comment: edited where it is ours, made where there is none."""
        number, body = int(slot.name.partition("/")[2]), str(slot.wanted["body"])
        if slot.ref:
            try:
                self.forge.edit_comment(number, slot.ref, body)
            except ForgeRefused as error:
                if error.status not in (404, 410):
                    raise
            else:
                return str(slot.ref)
        me, marker = self.forge.whoami(), find_marker(body)
        for comment in self.forge.comments(number):
            if comment.author == me and find_marker(comment.body) == marker:
                if comment.body.strip() != body.strip():
                    self.forge.edit_comment(number, comment.id, body)
                return comment.id
        return self.forge.add_comment(number, body).id

    def put_status(self, slot: Slot) -> None:
        """One status, unless it is there already."""
        _, sha, context = slot.name.split("/", 2)
        wanted = slot.wanted
        status = CommitStatus(sha, context, Standing(wanted["standing"]), wanted["description"], wanted["url"])
        there = self.forge.status(sha, context)
        if there is None or (there.standing, there.description) != (status.standing, status.description):
            self.forge.set_status(status)

    def put_ticket(self, slot: Slot) -> int | None:
        """One ticket: found by its number or its marker, opened where it is wanted open and there is none."""
        title, body, wanted = str(slot.wanted["title"]), str(slot.wanted["body"]), bool(slot.wanted["open"])
        if slot.ref:
            try:
                self.forge.edit_ticket(slot.ref, title, body, open=wanted)
            except ForgeRefused as error:
                if error.status not in (404, 410):
                    raise
            else:
                return int(slot.ref)
        marker = find_marker(body)
        there = self.tickets.get(marker) if marker else None
        if there is None or (wanted and not there.open):
            # One that was closed under a number that we forgot is an old story, and stays one.
            return self.forge.open_ticket(title, body).number if wanted else None
        if (there.title, there.body.strip(), there.open) != (title, body.strip(), wanted):
            self.forge.edit_ticket(there.number, title, body, open=wanted)
        return there.number

    def put_note(self, slot: Slot) -> str | None:
        """A comment on a ticket, said once; nothing where the ticket has gone."""
        state, ticket, body = self.world.state, str(slot.wanted["ticket"]), str(slot.wanted["body"])
        owner = state.slot(ticket)
        if owner and not owner.ref and owner.sent != owner.wanted:
            self.put(owner)  # it may be there: the answer that said so was lost
            owner = state.slot(ticket)
        if owner is None or not owner.ref:
            return None
        me, marker = self.forge.whoami(), find_marker(body)
        for comment in self.forge.ticket_comments(owner.ref):
            if comment.author == me and find_marker(comment.body) == marker:
                return comment.id
        return self.forge.comment_ticket(owner.ref, body).id

    def put_branch(self, slot: Slot) -> Mapping[str, Any]:
        """A branch of ours with one commit on it; left alone as soon as somebody else has pushed to it."""
        ref, wanted = dict(slot.ref or {}), slot.wanted
        branch, sha = str(wanted["branch"]), wanted["sha"]
        tip = self.remote_tip(branch)
        if tip not in (None, sha, ref.get("pushed"), ref.get("pushing")):
            return ref | {"left": tip}
        rest = {name: value for name, value in ref.items() if name not in ("pushed", "pushing", "left")}
        if sha is None:
            if tip:
                self.world.repository.delete(f"refs/heads/{branch}", tip)
            return rest
        if tip != sha:
            # Where the answer is lost, what is there then is still known to be ours, whatever is wanted next.
            self.world.state.refer(slot.name, {**rest, "pushed": tip, "pushing": sha})
            if not self.world.repository.replace(f"refs/reconciler/own/{branch}", branch, tip):
                raise ForgeAway(f"{branch} was moved while it was pushed")
        self.world.state.refer(slot.name, {**rest, "pushed": sha})
        return {**rest, "pushed": sha}

    def put_pull(self, slot: Slot) -> Mapping[str, Any]:
        """A branch of ours and its pull request: opened once, closed when it is moot, never opened against a person."""
        ref, wanted = dict(slot.ref or {}), slot.wanted
        number = ref.get("number")
        state = self.forge.pull_request(number).state if number else ""
        if ref.pop("closing", False) and state == "closed":
            ref, number, state = {**ref, "number": None}, None, ""  # it was us, though the answer was lost
        if state in ("closed", "merged") and wanted["sha"]:
            return ref | {"state": state}
        if number and state == "open" and not wanted["sha"]:
            self.world.state.refer(slot.name, {**ref, "closing": True})
            self.forge.close_pull_request(int(number))
        ref = dict(self.put_branch(Slot(slot.name, wanted, slot.sent, ref)))
        if not wanted["sha"] and state != "closed":
            return {**ref, "number": None, "state": ""}  # nobody said no to it, so it may be proposed again
        if wanted["sha"] and "left" not in ref and not number:
            made = self.forge.open_pull_request(wanted["branch"], wanted["base"], wanted["title"], wanted["body"])
            number = made.number
        return {**ref, "number": number, "state": "open" if wanted["sha"] else "closed"}

    def remote_tip(self, branch: str) -> str | None:
        """Where a branch is in the remote, None where it is not."""
        try:
            return self.world.repository.tip(branch)
        except Gone:
            return None
