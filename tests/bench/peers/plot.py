"""The standings as a picture: for each contender a bar of wall time and one of controller CPU, on a logarithmic scale.

Plain SVG, written here: a drawing library would be larger than everything that it draws.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape

from tests.bench.peers.contest import Standing
from tests.bench.peers.rows import seconds

NAMES, BARS, ROW, HEAD = 330, 460, 40, 56
"""Pixels: room for the names, for the longest bar, of one contender, and above the first one."""
COLOURS = {"wall": "#4269d0", "cpu": "#efb118"}
LABELS = {"wall": "wall time of a look at the whole fleet", "cpu": "controller CPU"}
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}.ours{font-weight:600}.small{font-size:11px;fill:#555}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.small{fill:#aaa}}"
)


def draw(standings: Mapping[str, Standing]) -> str:
    """The picture as SVG; the slowest is on top, who could not be measured is not in it."""
    measured = sorted((one for one in standings.values() if one.costs), key=lambda one: -one.middle("wall"))
    values = [one.middle(what) for one in measured for what in COLOURS]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    tall, wide = HEAD + ROW * len(measured) + 10, NAMES + BARS + 90
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {tall}" width="{wide}" role="img">',
        "<title>What a look at five hosts with fifty resources each takes</title>",
        f"<style>{STYLE}</style>",
        *legend(),
        *grid(low, high, tall),
    ]
    for number, one in enumerate(measured):
        parts += contender(one, HEAD + ROW * number, low, high)
    return "\n".join([*parts, "</svg>", ""])


def legend() -> list[str]:
    """What the colours mean."""
    parts = []
    for number, (what, colour) in enumerate(COLOURS.items()):
        left = NAMES + 290 * number
        parts.append(f'<rect x="{left}" y="6" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{left + 18}" y="17">{LABELS[what]}</text>')
    return parts


def grid(low: int, high: int, tall: int) -> list[str]:
    """A line for each power of ten seconds."""
    parts = []
    for power in range(low, high + 1):
        left = NAMES + length(10.0**power, low, high)
        parts.append(f'<line x1="{left:.0f}" x2="{left:.0f}" y1="44" y2="{tall - 6}" stroke="#8884"/>')
        parts.append(f'<text class="small" x="{left:.0f}" y="38" text-anchor="middle">{seconds(10.0**power)}</text>')
    return parts


def contender(one: Standing, top: int, low: int, high: int) -> list[str]:
    """A name and two bars."""
    mark = ' class="ours"' if one.name.startswith("our sweep") else ""
    parts = [
        f'<text{mark} x="{NAMES - 10}" y="{top + 20}" text-anchor="end">{escape(one.name.replace("`", ""))}</text>'
    ]
    for number, (what, colour) in enumerate(COLOURS.items()):
        value, y = one.middle(what), top + 2 + 15 * number
        wide = length(value, low, high)
        parts.append(f'<rect x="{NAMES}" y="{y}" width="{wide:.1f}" height="13" fill="{colour}"/>')
        parts.append(f'<text class="small" x="{NAMES + wide + 5:.1f}" y="{y + 11}">{seconds(value)}</text>')
    return parts


def length(value: float, low: int, high: int) -> float:
    """The pixels of a time."""
    return BARS * (math.log10(value) - low) / (high - low)
