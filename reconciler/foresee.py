"""Foresee: what merging a pull request would do to the live fleet, without anything of it running.

Called by ``hear``. The head is fetched from our own remote with limits on bytes, time and memory, merged by git,
compiled as data, and compared with what the hosts were last seen with. What cannot be read is said in a preview too.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.accept import Accepted
from reconciler.desired import STRANGERS, Bounds, compile_tree
from reconciler.errors import Corrupt, GitError, Unreachable
from reconciler.model import Desired, HostMemory, Tree
from reconciler.preview import preview, unpreviewed
from reconciler.talk import Preview, PullRequest
from reconciler.world import World

PULLS = "refs/reconciler/pull"
"""Where the heads of open pull requests are kept in the clone."""
LARGEST_PACK = 64 << 20
"""Bytes fetched of one pull request; far more than desired state ever has, and not enough to fill a disk."""
LARGEST_CHANGE = 2 << 20
"""Bytes of files that one pull request may change and still be read: a person could not review more."""


def foresee(
    world: World, accepted: Accepted, base: Desired, pull: PullRequest, memories: Mapping[str, HostMemory]
) -> Preview:
    """What merging *pull* would do; a preview that says why there is none, where it cannot be read.

    Raises Unreachable or Corrupt, which say nothing about the pull request.
    """
    fleet, repository = len(base.hosts) + len(base.held), world.repository
    try:
        head = repository.fetch(pull.ref, local_ref(pull.number), largest=LARGEST_PACK)
        merged = repository.merge(accepted.sha, head)
    except (Unreachable, Corrupt):
        raise
    except GitError as error:
        # Where the repository is reached is nothing to tell a stranger.
        words = str(error).partition("\n")[0].replace(repository.remote.shown, "the repository")
        return unpreviewed(accepted.sha, pull.head, fleet=fleet, refused=words)
    if merged.conflicts:
        return unpreviewed(accepted.sha, head, fleet=fleet, conflicts=merged.conflicts)
    desired = compiled_within(world, accepted.sha, merged.tree, STRANGERS if pull.fork else Bounds())
    if isinstance(desired, str):
        return unpreviewed(accepted.sha, head, fleet=fleet, refused=desired)
    return preview(
        base,
        desired,
        memories,
        base_sha=accepted.sha,
        head_sha=head,
        seen_at=world.state.get("swept_at"),
        limits=base.limits,
        groups=desired.groups,
        today=world.clock().date(),
    )


def compiled_within(world: World, base: str, merged: str, bounds: Bounds) -> Desired | str:
    """The desired state of a merged tree, or why it is not read at all."""
    path = world.config.repository.path
    tree, mistakes = world.repository.tree(merged, path)
    if not tree:
        return mistakes[0].message if mistakes else "there are no files in it"
    size = changed_bytes(world.repository.tree(base, path)[0], tree)
    if size > LARGEST_CHANGE:
        return f"it changes {size >> 10} KiB of desired state, and at most {LARGEST_CHANGE >> 10} are read"
    desired = compile_tree(tree, allow_local=world.config.allow_local_connection, bounds=bounds)
    if not mistakes:
        return desired
    # What a revision may not hold refuses the whole of it, as it would on the branch.
    return Desired({}, mistakes=tuple(sorted({*mistakes, *desired.mistakes})))


def changed_bytes(old: Tree, new: Tree) -> int:
    """How many bytes of files the newer tree has that the older one has not."""
    return sum(len(content) for name, content in new.items() if old.get(name) != content)


def local_ref(number: int) -> str:
    """Where the head of a pull request is kept while it is open."""
    return f"{PULLS}/{number}"
