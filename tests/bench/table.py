"""What was measured, as rows with the targets of the issue beside them; ``__main__`` prints them and exits by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.bench.measure import spread

LINEAR = 1.5
"""The CPU time of one host among a thousand may be this many times that of one among a hundred."""
RECORD_SECONDS = 10.0
"""Seconds, not minutes."""
NOISE_MEGABYTES = 1.0
"""What an allocator may move by without anything having grown."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line. ``met`` is None where there is no target."""

    name: str
    seen: str
    target: str = ""
    met: bool | None = None

    def text(self) -> str:
        """The row as it is printed; a missed target stands out."""
        verdict = {None: "", True: "ok", False: "MISSED"}[self.met]
        return f"{self.name:<58}  {self.seen:<38}  {self.target:<12}  {verdict}".rstrip()


def scale_rows(found: Mapping[int, Sequence[Mapping[str, float]]]) -> list[Row]:
    """Compile and compare, by the size of the fleet."""
    rows = []
    for hosts, runs in found.items():
        last = hosts == max(found)
        wall, cpu, peak = ([run[name] for run in runs] for name in ("wall", "cpu", "rss"))
        rows += [
            Row(f"{hosts} hosts: wall", spread(wall), "< 5 s" if last else "", median(wall) < 5 if last else None),
            Row(f"{hosts} hosts: CPU", spread(cpu)),
            Row(
                f"{hosts} hosts: peak memory",
                spread(peak, "MB"),
                "< 300 MB" if last else "",
                median(peak) < 300 if last else None,
            ),
        ]
    each = {hosts: median(run["cpu"] for run in runs) / hosts for hosts, runs in found.items()}
    factor = each[max(each)] / each[min(each)]
    parts = [f"{name} {median(run[name] for run in found[max(found)]):.2f} s" for name in ("compile", "compare")]
    return [
        *rows,
        Row(f"of {max(found)} hosts", ", ".join(parts)),
        Row(
            f"CPU for one host, of {max(each)} ÷ of {min(each)}", f"{factor:.2f} times", f"≤ {LINEAR}", factor <= LINEAR
        ),
    ]


def recording_rows(found: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """Recording a thousand hosts."""
    return [
        Row(
            f"{case}: {one['changes']:.0f} changes in {one['commits']:.0f} signed commits",
            f"{one['write'] + one['publish']:.2f} s ({one['write']:.2f} + {one['publish']:.2f})",
            f"< {RECORD_SECONDS:.0f} s",
            one["write"] + one["publish"] < RECORD_SECONDS,
        )
        for case, one in found.items()
    ]


def idle_rows(found: Mapping[str, Mapping[str, float]]) -> list[Row]:
    """What a hundred idle cycles leave behind."""
    rows = []
    for kind, one in found.items():
        for name, unit, most in (
            ("new_commits", "commits", 0.0),
            ("log_lines", "log lines", 0.0),
            ("bytes", "bytes of files more", 0.0),
            ("descriptors", "descriptors more", 0.0),
            ("memory", f"MB more than {one['rss']:.0f} MB", NOISE_MEGABYTES),
        ):
            seen = f"{one[name]:.1f}" if name == "memory" else f"{one[name]:.0f}"
            rows.append(Row(f"100 {kind}: {unit}", seen, f"≤ {most:.0f}", one[name] <= most))
        rows.append(Row(f"100 {kind}: CPU of each", f"{one['cpu'] * 1000:.0f} ms"))
    return rows
