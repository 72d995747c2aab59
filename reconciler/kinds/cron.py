"""One job of cron, known by the comment that Ansible writes above it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from reconciler.kinds.base import Fields, take
from reconciler.kinds.words import AccountName, PlainLine, number_as_text
from reconciler.model import Ask, Value

When = Annotated[str, BeforeValidator(number_as_text), Field(pattern=r"^[A-Za-z0-9*,/~-]+$", max_length=200)]
TIMES = ("minute", "hour", "day", "month", "weekday")


class Cron(Fields):
    """``ansible.builtin.cron``: a job in a user's crontab, or in a file of ``/etc/cron.d``."""

    kind: ClassVar[str] = "cron"
    collector: ClassVar[str] = "cron"
    order: ClassVar[int] = 80
    declared_by: ClassVar[Mapping[str, str]] = {"schedule": "minute"}

    name: Annotated[PlainLine, Field(max_length=255)]
    """What the job is called; stands as ``#Ansible: NAME`` above it."""
    job: Annotated[PlainLine, Field(max_length=900)] | None = None
    """The command. To cron, ``%`` means the end of the line unless it is written ``\\\\%``."""
    state: Literal["present", "absent"] = "present"
    """Whether the job is there. With the last job, a file of ``/etc/cron.d`` goes too."""
    minute: When = "*"
    """0 to 59, ``*``, ``*/5``, ``1,31``."""
    hour: When = "*"
    """0 to 23."""
    day: When = "*"
    """The day of the month, 1 to 31."""
    month: When = "*"
    """1 to 12, or jan to dec."""
    weekday: When = "*"
    """0 to 6 from Sunday, or sun to sat."""
    special_time: Literal["reboot", "yearly", "annually", "monthly", "weekly", "daily", "hourly"] | None = None
    """A word instead of the five times."""
    user: AccountName = "root"
    """Whose crontab, or who runs the job of a ``cron_file``."""
    cron_file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$", max_length=200)] | None = None
    """The name of a file in ``/etc/cron.d``, instead of the user's crontab. cron skips names with a dot."""

    @model_validator(mode="after")
    def has_one_time(self) -> Cron:
        """Refuse a job without a command, and one with two schedules."""
        if self.state == "present" and self.job is None:
            raise ValueError("a cron job needs job, the command to run")
        if self.special_time and any(getattr(self, name) != "*" for name in TIMES):
            raise ValueError("special_time stands alone, without minute, hour, day, month and weekday")
        return self

    @property
    def file(self) -> str | None:
        """The path of ``cron_file``."""
        return f"/etc/cron.d/{self.cron_file}" if self.cron_file else None

    def key(self) -> str:
        where = self.file or ("" if self.user == "root" else self.user)
        return f"{where}:{self.name}" if where else self.name

    def shares(self) -> frozenset[str]:
        return frozenset({f"content:{self.file}"} if self.file else ())

    def ask(self, content: bytes | None = None) -> Ask:
        return Ask(self.collector, self.file or self.user, {"file": self.file} if self.file else {"user": self.user})

    def wanted(self, content: bytes | None) -> dict[str, Value]:
        if self.state == "absent" or self.job is None:
            return {"state": "absent"}
        schedule = f"@{self.special_time}" if self.special_time else " ".join(getattr(self, name) for name in TIMES)
        user: dict[str, Value] = {"user": self.user} if self.cron_file else {}
        return {"state": "present", "schedule": schedule, **user, "job": self.job}

    def seen(self, fact: Mapping[str, Any]) -> dict[str, Value]:
        jobs = take(fact, "jobs", dict)
        if self.name not in jobs:
            return {"state": "absent"}
        line: str = take(jobs, self.name, str)
        if line.lstrip().startswith("#"):
            return {"state": "disabled"}
        return {"state": "present", **read_job(line, with_user=self.cron_file is not None)}

    def irreversible(self, before: Fields | None = None) -> bool:
        """What a job was that nobody declared is written nowhere else."""
        return self.state == "absent" and not (isinstance(before, Cron) and before.state == "present")

    def args(self) -> dict[str, Any]:
        """The module's options; the times are left out beside ``special_time``."""
        return {name: value for name, value in super().args().items() if not (self.special_time and name in TIMES)}


def read_job(line: str, *, with_user: bool) -> dict[str, Value]:
    """``schedule``, ``job`` and, in a system crontab, ``user`` of one line; empty where the line is too short."""
    times = 1 if line.lstrip().startswith("@") else len(TIMES)
    words = line.split(None, times + with_user)
    words += [""] * (times + with_user + 1 - len(words))
    user: dict[str, Value] = {"user": words[times]} if with_user else {}
    return {"schedule": " ".join(words[:times]).rstrip(), **user, "job": words[-1].rstrip("\r\n")}
