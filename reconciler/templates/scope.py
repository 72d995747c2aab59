"""One host's variables as its templates see them: values that hold templates are rendered when they are used.

``desired`` makes one Scope per host and hands it to ``templates``. A Scope knows nothing of Jinja: the
renderer lends it a function that evaluates a text.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, Sequence, ValuesView
from typing import Any

from jinja2.runtime import Undefined

from reconciler.templates.limits import Exceeded, check_items
from reconciler.templates.mistakes import Missing, TemplateMistake

MAX_REFERENCES = 25
"""How deep variables may refer to each other; each level takes several frames of Python's own stack."""

Path = tuple[str | int, ...]
Evaluate = Callable[[str], Any]


def has_template(text: str) -> bool:
    """Say whether *text* holds an expression or a statement of Jinja2."""
    return "{{" in text or "{%" in text


class Scope:
    """The variables of one host: plain values, some of them texts with templates in them.

    Each is evaluated when a rendering first uses it, once, and again for the next one: so what a rendering makes
    and costs depends on nothing but its texts and variables. The values themselves are never changed.
    """

    def __init__(self, variables: Mapping[str, Any]) -> None:
        self._variables = variables
        self._known: dict[Path, tuple[Any, frozenset[str]]] = {}
        self._open: list[Path] = []
        self._names: set[str] = set()
        self._asked: set[str] = set()
        self._evaluate: Evaluate = _not_yet

    @property
    def used(self) -> frozenset[str]:
        """The top-level variables that the last rendering looked at, also through other variables.

        A variable that only a branch not taken names counts as well.
        """
        return frozenset(self._names)

    @property
    def asked(self) -> frozenset[str]:
        """The names that the last rendering looked for among the variables, those included that are not there."""
        return frozenset(self._asked)

    def begin(self, evaluate: Evaluate) -> None:
        """Start another rendering, in which nested templates are evaluated by *evaluate*."""
        self._evaluate = evaluate
        self._names, self._asked = set(), set()
        self._open.clear()
        self._known.clear()

    def has(self, name: str) -> bool:
        """Say whether there is a variable *name*."""
        self._asked.add(name)
        return name in self._variables

    def lookup(self, name: str) -> Any:
        """Return the value of variable *name*, which must be there; Missing where it rests on what is not there."""
        self._names.add(name)
        known = self._known.get((name,))
        if known is None:
            value = self.value((name,), self._variables[name])
            known = self._known.setdefault((name,), (value, frozenset()))
        self._names |= known[1]
        return known[0]

    def value(self, path: Path, raw: Any) -> Any:
        """Return what *raw*, found at *path*, stands for: itself, a lazy container, or its evaluated text."""
        if type(raw) is str:
            return self._text(path, raw) if has_template(raw) else raw
        if type(raw) in (dict, list, tuple) and _holds_template(raw):
            return LazyDict(self, path, raw) if type(raw) is dict else LazyList(self, path, raw)
        return raw

    def _text(self, path: Path, text: str) -> Any:
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = self._evaluate_apart(path, text)
        self._names |= known[1]
        return known[0]

    def _evaluate_apart(self, path: Path, text: str) -> tuple[Any, frozenset[str]]:
        """Evaluate *text* and return it with the variables it used, whatever the asking rendering used."""
        self._refuse_cycle(path)
        outer, self._names = self._names, set()
        self._open.append(path)
        try:
            value = self._evaluate(text)
        except TemplateMistake as mistake:
            value = self._failed(mistake.within(str(path[0]), _spell(path)))
        finally:
            self._open.pop()
            used, self._names = frozenset(self._names), outer
        return value, used

    def _failed(self, mistake: TemplateMistake) -> Any:
        """Let ``default`` stand in for what is absent; anything else wrong in a variable ends the rendering."""
        if not mistake.absent:
            raise mistake from None
        return Missing(mistake=mistake)

    def _refuse_cycle(self, path: Path) -> None:
        if path in self._open:
            circle = [*self._open[self._open.index(path) :], path]
            arrows = " → ".join(_spell(step) for step in circle)
            raise TemplateMistake(f"Variables refer to each other in a circle: {arrows}.", variable=str(path[0]))
        if len(self._open) >= MAX_REFERENCES:
            arrows = " → ".join(_spell(step) for step in (*self._open[:3], ("…",), path))
            raise TemplateMistake(f"Variables refer to each other more than {MAX_REFERENCES} deep: {arrows}.")


def _not_yet(text: str) -> Any:
    raise TemplateMistake(f"A value of {len(text)} characters is read outside a rendering.")


def _spell(path: Path) -> str:
    """``('app', 'ports', 0)`` as a template would write it: ``app.ports[0]``."""
    head, *rest = path
    return str(head) + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in rest)


def _holds_template(value: Any) -> bool:
    """Say whether any text within *value* holds a template."""
    pending, seen = [value], 0
    while pending:
        item = pending.pop()
        if type(item) is str:
            if has_template(item):
                return True
        elif type(item) is dict:
            pending.extend(item.values())
        elif type(item) in (list, tuple):
            pending.extend(item)
        seen += 1
        check_items(seen + len(pending))
    return False


class LazyDict(Mapping[str, Any]):
    """A mapping of a host's variables whose texts are evaluated one by one, when asked for."""

    __slots__ = ("_path", "_raw", "_scope")

    def __init__(self, scope: Scope, path: Path, raw: Mapping[str, Any]) -> None:
        self._scope, self._path, self._raw = scope, path, raw

    def __getitem__(self, key: str) -> Any:
        return self._scope.value((*self._path, key), self._raw[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


class LazyList(Sequence[Any]):
    """A list of a host's variables whose texts are evaluated one by one, when asked for."""

    __slots__ = ("_path", "_raw", "_scope")

    def __init__(self, scope: Scope, path: Path, raw: Sequence[Any]) -> None:
        self._scope, self._path, self._raw = scope, path, raw

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self._raw)))]
        position = range(len(self._raw))[index]
        return self._scope.value((*self._path, position), self._raw[position])

    def __len__(self) -> int:
        return len(self._raw)


def plain(value: Any) -> Any:
    """Return *value* with every lazy container in it evaluated; what is absent within stays Missing."""
    if type(value) in (LazyDict, LazyList) or (isinstance(value, dict | list | tuple) and _holds_lazy(value)):
        return _Unfolding().unfold(value)
    return value


def _holds_lazy(value: Any) -> bool:
    pending, seen, found = [value], 0, False
    while pending:
        item = pending.pop()
        found = found or type(item) in (LazyDict, LazyList)
        if isinstance(item, dict):
            pending.extend(item.values())
        elif isinstance(item, list | tuple):
            pending.extend(item)
        seen += 1
        check_items(seen + len(pending))
    return found


class _Unfolding:
    """Copies containers, lazy ones evaluated, up to as many items as any value may have."""

    def __init__(self) -> None:
        self.seen = 0

    def unfold(self, value: Any) -> Any:
        self.seen += 1
        check_items(self.seen)
        if isinstance(value, dict | LazyDict):
            return {key: self.unfold(value[key]) for key in value}
        if isinstance(value, list | LazyList):
            return [self.unfold(item) for item in value]
        if isinstance(value, tuple):
            return tuple(self.unfold(item) for item in value)
        return value


_SERIES: tuple[type[Iterable[Any]], ...] = (Sequence, Iterator, set, frozenset, KeysView, ValuesView, ItemsView)


def finished(value: Any) -> Any:
    """Return *value*, weighed already, as YAML data for whoever asked from outside; lists for every sequence.

    What is absent within raises its own mistake; a value that is no data raises Exceeded.
    """
    if value is None or type(value) in (str, int, float, bool):
        return value
    if isinstance(value, Mapping):
        return {finished(key): finished(item) for key, item in value.items()}
    if isinstance(value, Undefined):
        str(value)  # raises what is missing, unless it is an inline "if" that has no else
        raise Exceeded("The expression has no value: its condition is false, and it has no else.")
    if isinstance(value, _SERIES):
        return [finished(item) for item in value]
    raise Exceeded(f"A template's value has to be plain data, and this is a {type(value).__name__}.")
