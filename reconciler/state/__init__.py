"""The daemon's memory on disk: a cache in SQLite that can be made again from git.

The only importer of sqlite3; called by the shell. What has to survive a crash (intents, events on their way) is on
disk when the call that stores it returns. One process writes; others may read meanwhile. It decides nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from reconciler.errors import StateError
from reconciler.model import Event, HostMemory
from reconciler.state.format import event_json, memory_json, read_event, read_memory, to_json
from reconciler.state.locking import lock, private_directory
from reconciler.state.speech import Slot, Speech

__all__ = ["SCHEMA", "Slot", "State", "lock"]

_STEPS = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
        "CREATE TABLE hosts (host TEXT PRIMARY KEY, memory TEXT NOT NULL) STRICT",
        "CREATE TABLE intents (host TEXT PRIMARY KEY, intent TEXT NOT NULL) STRICT",
        "CREATE TABLE outbox"
        " (nr INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, event TEXT NOT NULL) STRICT",
    ),
    (
        "CREATE TABLE slots (slot TEXT PRIMARY KEY, nr INTEGER NOT NULL, wanted TEXT NOT NULL, sent TEXT, ref TEXT)"
        " STRICT",
        "CREATE INDEX waiting ON slots (nr) WHERE sent IS NOT wanted",
        "CREATE TABLE letters (nr INTEGER PRIMARY KEY AUTOINCREMENT, ear TEXT NOT NULL, id TEXT NOT NULL,"
        " letter TEXT NOT NULL, UNIQUE (ear, id)) STRICT",
    ),
)
"""What each version of the tables added to the one before."""
SCHEMA = len(_STEPS)
"""Version of the tables; a newer daemon may write a newer one, which this one refuses."""
_AGAIN = "Move it away: it is made again from the audit branch."
_CAUSES = {
    sqlite3.SQLITE_FULL: ("no space left on its file system", "Free some space; nothing is applied until then."),
    sqlite3.SQLITE_CORRUPT: ("it is damaged", _AGAIN),
    sqlite3.SQLITE_NOTADB: ("it is not a database", _AGAIN),
    sqlite3.SQLITE_BUSY: ("another process is writing to it", "Is a second daemon using this state directory?"),
    sqlite3.SQLITE_READONLY: ("it cannot be written", "Check its owner, and that its file system can be written."),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "Check that it exists and who owns it."),
    sqlite3.SQLITE_IOERR: ("its disk fails to read or write", "Check the disk, and that it is not full."),
}


class State(Speech):
    """One open state file. Every failure is a StateError that names the file and the cause; then apply nothing."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, read_only: bool) -> None:
        self.path = path
        self._connection = connection
        self._read_only = read_only
        self._hosts: dict[str, HostMemory] | None = None
        self._noted: dict[str, str] = {}

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Open the state at *path*, made where there is none; *read_only* needs one and works beside a daemon."""
        if read_only and not path.exists():
            raise StateError(f"there is no state at {path}", hint="Has the daemon run yet? Try: reconciler once")
        if not read_only:
            private_directory(path.parent)
        with _told(path):
            uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
        state = cls(path, connection, read_only=read_only)
        try:
            state._prepare()
        except StateError:
            connection.close()
            raise
        return state

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        with _told(self.path):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _prepare(self) -> None:
        """Refuse a newer schema; for the writer, durable settings, and the tables where there are none."""
        ((version,),) = self._rows("PRAGMA user_version")
        if version > SCHEMA:
            raise StateError(
                f"the state at {self.path} is of a newer reconciler (schema {version}; {SCHEMA} is known here)",
                hint=f"Install that version again. {_AGAIN}",
            )
        if self._read_only:
            if version < SCHEMA:
                raise StateError(f"the state at {self.path} is of an older reconciler", hint="Try: reconciler once")
            return
        self._rows("PRAGMA journal_mode=WAL")
        self._rows("PRAGMA synchronous=FULL")
        # SQLite lets its log grow to a thousand pages; an idle daemon's files are to stay as they are.
        self._rows("PRAGMA wal_autocheckpoint=16")
        if version < SCHEMA:
            with self._transaction():
                for statement in (
                    *(each for step in _STEPS[version:] for each in step),
                    f"PRAGMA user_version={SCHEMA}",
                ):
                    self._connection.execute(statement)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything or nothing, and on disk when it ends."""
        with _told(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # Where the disk was full SQLite has rolled back by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with _told(self.path):
            return self._connection.execute(query, values).fetchall()

    def get(self, key: str) -> Any:
        """Return the JSON value kept as *key*, or None."""
        text = self._noted.get(key) or self._stored(key)
        return None if text is None else json.loads(text)

    def _stored(self, key: str) -> str | None:
        found = self._rows("SELECT value FROM meta WHERE key = ?", key)
        return found[0][0] if found else None

    def note(self, key: str, value: Any) -> None:
        """Keep a JSON *value* as *key* in memory; it is on disk once ``finish`` has something else to write."""
        self._noted[key] = to_json(value)

    def put(self, key: str, value: Any) -> None:
        """Keep a JSON *value* as *key*; writes nothing where it is kept already."""
        self.finish(meta={key: value})

    def hosts(self) -> dict[str, HostMemory]:
        """Return what is remembered of every host."""
        # The one writer knows what is stored without reading it again; a reader has to look.
        if self._hosts is None or self._read_only:
            shared: dict[Any, Any] = {}
            with _told(self.path):
                rows = self._connection.execute("SELECT host, memory FROM hosts ORDER BY host")
                self._hosts = {host: read_memory(host, memory, shared) for host, memory in rows}
        return dict(self._hosts)

    def begin(self, intents: Mapping[str, Mapping[str, Any]]) -> None:
        """Store what is about to be done to each host; on disk when this returns, before a host is touched."""
        rows = [(host, to_json(intent)) for host, intent in intents.items()]
        if rows:
            with self._transaction():
                self._connection.executemany("REPLACE INTO intents VALUES (?, ?)", rows)

    def intents(self) -> dict[str, dict[str, Any]]:
        """Return the intents without an outcome: what a killed daemon left in the middle."""
        rows = self._rows("SELECT host, intent FROM intents ORDER BY host")
        return {host: json.loads(intent) for host, intent in rows}

    def finish(
        self,
        hosts: Iterable[HostMemory] = (),
        events: Iterable[Event] = (),
        done: Iterable[str] = (),
        meta: Mapping[str, Any] | None = None,
        forgotten: Iterable[str] = (),
    ) -> None:
        """Store the end of a cycle in one transaction: memories, events to deliver, *done* intents dropped, facts.

        *forgotten* are hosts that nothing is remembered of any more.

        What is stored already is not written again; where that is all of it, the file is not touched.
        """
        known = self.hosts()
        changed = [memory for memory in hosts if known.get(memory.host) != memory]
        posted = [(event.id, event_json(event)) for event in events]
        ended = [(host,) for host in self.intents().keys() & set(done)]
        facts = [pair for pair in ((key, to_json(value)) for key, value in (meta or {}).items()) if self._is_new(*pair)]
        gone = [(host,) for host in known.keys() & set(forgotten)]
        if not (changed or posted or ended or facts or gone):
            return
        with self._transaction():
            many = self._connection.executemany
            many("REPLACE INTO hosts VALUES (?, ?)", [(memory.host, memory_json(memory)) for memory in changed])
            many("INSERT OR IGNORE INTO outbox (id, event) VALUES (?, ?)", posted)
            many("DELETE FROM intents WHERE host = ?", ended)
            many("DELETE FROM hosts WHERE host = ?", gone)
            many("REPLACE INTO meta VALUES (?, ?)", [*self._noted.items(), *facts])
        self._noted.clear()
        self._hosts = known | {memory.host: memory for memory in changed}
        for (host,) in gone:
            del self._hosts[host]

    def _is_new(self, key: str, text: str) -> bool:
        return self._rows("SELECT value FROM meta WHERE key = ?", key) != [(text,)]

    def outbox(self) -> list[Event]:
        """Return the events that have not been delivered, oldest first."""
        return [read_event(event) for (event,) in self._rows("SELECT event FROM outbox ORDER BY nr")]

    def delivered(self, ids: Iterable[str]) -> None:
        """Remove events that are on the audit branch now."""
        gone = [(each,) for each in ids]
        if gone:
            with self._transaction():
                self._connection.executemany("DELETE FROM outbox WHERE id = ?", gone)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn whatever SQLite says into a StateError that names the cause."""
    try:
        yield
    except sqlite3.Error as error:
        # An extended code carries its family in the low byte.
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        cause, hint = _CAUSES.get(code, (str(error), ""))
        raise StateError(f"the state at {path} cannot be used: {cause}", hint=hint) from error
