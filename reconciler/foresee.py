"""Foresee: what merging a pull request would do to the live fleet, without anything of it running.

Called by ``hear``. The head is fetched from our own remote with limits on bytes, time and memory, and merged by git;
the files of the merge are compiled and compared ``apart`` from the daemon. What cannot be read is said as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from reconciler.accept import Accepted
from reconciler.apart import About
from reconciler.desired import STRANGERS, Bounds
from reconciler.errors import Corrupt, GitError, Unreachable
from reconciler.foretell import Files, Page, Question, Words, words
from reconciler.model import Tree
from reconciler.preview import unpreviewed
from reconciler.talk import Preview, PullRequest
from reconciler.world import World

if TYPE_CHECKING:
    from reconciler.forge import Forge

PULLS = "refs/reconciler/pull"
"""Where the heads of open pull requests are kept in the clone."""
LARGEST_PACK = 64 << 20
"""Bytes fetched of one pull request; far more than desired state ever has, and not enough to fill a disk."""
LARGEST_CHANGE = 2 << 20
"""Bytes of files that one pull request may change and still be read: a person could not review more."""
UNKNOWN = "f0e7e11" * 5 + "f0e7e"
"""Stands for the commit that will hold a plan in full, as long as there is none."""


class Told(NamedTuple):
    """What is to be said of a pull request, and the key of what it was previewed with."""

    key: str
    words: Words


def foresee(
    world: World, accepted: Accepted, forge: Forge, pull: PullRequest, key: str, patient: Callable[[], bool]
) -> Told | None:
    """What merging *pull* would do, or why that cannot be said; *key* is of everything that it depends on.

    None while git and forge differ on its head: a forge tells of a push before or after git has it, and what was read
    must not be told of a commit that was not. None as well where the answer takes longer than one is *patient*: it can
    be asked for again. Raises Unreachable, Corrupt or PreviewError, which say nothing about the pull request.
    """
    page, about, apart = page_of(world, forge, pull), About(pull.number, pull.head, accepted.sha), world.apart
    if apart.about != about:
        made = question_of(world, accepted, pull, page)
        if made is None:
            return None
        if isinstance(made, Preview):
            return Told(key, words(made, page))
        apart.ask(about, key, *made, allow_local=world.config.allow_local_connection)
    key = apart.key
    answer = apart.answer(patient)
    if isinstance(answer, str):
        answer = words(unread(accepted, pull, refused=answer), page)
    return Told(key, answer) if answer is not None else None


def page_of(world: World, forge: Forge, pull: PullRequest) -> Page:
    """How the forge shows what is said of *pull*. A plan too long for a comment is kept, but not a stranger's."""
    return Page(
        key=f"{world.desk.name}/{pull.number}",
        limit=forge.body_limit,
        folds=forge.folds,
        lines=forge.lines(pull.head).below(world.config.repository.within("")),
        record="" if pull.fork else forge.lines(UNKNOWN).url(f"plans/{pull.number}.md", 1),
    )


def question_of(
    world: World, accepted: Accepted, pull: PullRequest, page: Page
) -> tuple[Files, Question] | Preview | None:
    """The revision in force and the question of what *pull* would make of it; a preview where it cannot be read."""
    repository, path = world.repository, world.config.repository.path
    try:
        head = repository.fetch(pull.ref, local_ref(pull.number), largest=LARGEST_PACK)
        if head != pull.head:
            return None
        merged = repository.merge(accepted.sha, head)
    except (Unreachable, Corrupt):
        raise
    except GitError as error:
        # Where the repository is reached is nothing to tell a stranger.
        reason = str(error).partition("\n")[0].replace(repository.remote.shown, "the repository")
        return unread(accepted, pull, refused=reason)
    if merged.conflicts:
        return unread(accepted, pull, conflicts=merged.conflicts)
    base = Files(accepted.sha, *repository.tree(accepted.sha, path))
    files = Files(head, *repository.tree(merged.tree, path))
    if not files.tree:
        reason = files.mistakes[0].message if files.mistakes else "there are no files in it"
        return unread(accepted, pull, refused=reason)
    if (size := changed_bytes(base.tree, files.tree)) > LARGEST_CHANGE:
        reason = f"it changes {size >> 10} KiB of desired state, and at most {LARGEST_CHANGE >> 10} are read"
        return unread(accepted, pull, refused=reason)
    bounds = STRANGERS if pull.fork else Bounds()
    return base, Question(files, page, bounds, world.state.get("swept_at"), world.clock().date())


def unread(accepted: Accepted, pull: PullRequest, *, refused: str = "", conflicts: tuple[str, ...] = ()) -> Preview:
    """The preview of a pull request that cannot be read; *refused* says why."""
    desired = accepted.desired
    fleet = len(desired.hosts) + len(desired.held) if desired else 0
    return unpreviewed(accepted.sha, pull.head, fleet=fleet, refused=refused, conflicts=conflicts)


def changed_bytes(old: Tree, new: Tree) -> int:
    """How many bytes of files the newer tree has that the older one has not."""
    return sum(len(content) for name, content in new.items() if old.get(name) != content)


def local_ref(number: int) -> str:
    """Where the head of a pull request is kept while it is open."""
    return f"{PULLS}/{number}"
