"""Every error that can reach a person.

    ReconcilerError          one clear sentence, and ``hint``: what to do next
    ├── ConfigError          the daemon's own configuration
    ├── StateError           the state directory: full, unreadable, locked by another daemon
    ├── GitError             git said no, or was not reached
    │   ├── Unreachable      the repository could not be reached now; worth a retry
    │   ├── Rewritten        the branch no longer descends from the accepted commit
    │   ├── Gone             the branch is not there, or the repository is empty
    │   └── Corrupt          the local clone is damaged and has to be made again
    ├── Refused              a revision or plan that must not be applied, with its reasons
    ├── LaunchError          Ansible itself could not run
    └── ForgeError           the forge said no, or was not reached
        ├── ForgeAway        it cannot be spoken with now; worth a retry after ``wait`` seconds
        └── ForgeRefused     it will not do it, however often it is asked; ``status`` is HTTP's

Library code raises these and never exits; only the command line turns them into exit codes.
"""

from __future__ import annotations


class ReconcilerError(Exception):
    """A failure told in one sentence, with the next step as ``hint``."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n  {self.hint}" if self.hint else message


class ConfigError(ReconcilerError):
    """The configuration of this daemon cannot be used."""


class StateError(ReconcilerError):
    """The state directory cannot be used, so nothing may be applied."""


class GitError(ReconcilerError):
    """git refused or failed."""


class Unreachable(GitError):
    """The repository cannot be reached now."""


class Rewritten(GitError):
    """The branch does not descend from the commit accepted last."""


class Gone(GitError):
    """The branch does not exist, or the repository is empty."""


class Corrupt(GitError):
    """The local clone is damaged; it holds nothing that the remote and the state do not."""


class Refused(ReconcilerError):
    """A revision or plan that must not be applied."""


class LaunchError(ReconcilerError):
    """Ansible could not be started, or died before it said anything."""


class PreviewError(ReconcilerError):
    """The process that previews pull requests could not be started, or ended early."""


class ForgeError(ReconcilerError):
    """The forge refused or failed."""


class ForgeAway(ForgeError):
    """The forge cannot be spoken with now, or wants us to slow down.

    ``wait`` is how many seconds it is to be left alone at least. ``unsure`` says that what was asked may have been
    done all the same: look before asking again.
    """

    def __init__(self, message: str, *, wait: float = 0.0, unsure: bool = False, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.wait = wait
        self.unsure = unsure


class ForgeRefused(ForgeError):
    """The forge will not do what was asked; ``status`` is the HTTP status it said so with."""

    def __init__(self, message: str, *, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
