"""What waivers of either revision spare of one resource.

Called by the other parts of ``preview``. Pure. The rule itself is that of ``waiver``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciler.model import Change, Mode, Resource, Value, Verdict, Waiver
from reconciler.preview.live import Live
from reconciler.preview.pairs import Pair
from reconciler.waiver import spare


def spared(pair: Pair, live: Live, before: tuple[Waiver, ...], after: tuple[Waiver, ...]) -> Pair:
    """The pair with what waivers spare of it, before and after."""
    about = {pair.known_as, pair.new.identity}
    before, after = (tuple(each for each in side if each.resource in about) for side in (before, after))
    if not before and not after:
        return pair
    values = {name: live.value(pair, name) for name in pair.new.wanted}
    was = reasons(pair.old, values, before) if pair.old else ()
    return replace(pair, waived_before=was, waived=reasons(pair.new, values, after))


def reasons(
    resource: Resource, values: Mapping[str, tuple[Value] | None], waivers: tuple[Waiver, ...]
) -> tuple[str, ...]:
    """Why differences of a resource are not put right: the waivers that spare what is known to be otherwise.

    The reasons are without the name of the resource.
    """
    differing = {
        name: value[0]
        for name, value in values.items()
        if value is not None and name in resource.wanted and value[0] != resource.wanted[name]
    }
    changes = tuple(
        Change(
            resource.identity, name, resource.wanted[name], value, None, Verdict.PENDING, Mode.ENFORCE, resource.place
        )
        for name, value in differing.items()
    )
    return tuple(reason.removeprefix(f"{resource.identity}: ") for reason in spare(changes, waivers)[1])
