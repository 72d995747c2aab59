"""The Jinja2 environment of desired state: an allow-list of everything, and every step counted.

``templates`` owns one. A template reaches plain data, the filters and tests of ``filters``, four
functions, and the other templates; never an attribute of a Python object, a file, a clock or a lookup.
Before a template is compiled, its tree is rewritten so that whatever can repeat or grow passes through a
bounded function; their names hold a space, so that no template can call them.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from types import BuiltinMethodType, CodeType, MethodType
from typing import Any

from jinja2 import Template, TemplateNotFound, TemplateSyntaxError, nodes
from jinja2.environment import TemplateModule
from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import BlockReference, Context, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace, missing

from reconciler.templates import filters
from reconciler.templates.limits import (
    OPERATIONS,
    Exceeded,
    Meter,
    check_items,
    is_data,
    joined,
    listed,
    operate,
    weigh,
)
from reconciler.templates.mistakes import Missing
from reconciler.templates.reach import READABLE, check_method
from reconciler.templates.rewrite import (
    BOUND_ITEMS,
    BOUND_VALUE,
    CHARGE,
    JOINED_TEXT,
    one_line_down,
    own_settings,
    rewrite,
)
from reconciler.templates.scope import LazyDict, Scope, finished, plain

MAX_SOURCE = 512 * 1024
"""Characters of one template."""
MAX_KEPT = 20_000
"""Pieces of code kept; a fleet has far fewer, and a hostile revision must not fill the memory."""
MAX_INCLUDES = 20
"""How deep templates may include each other."""
CALL_COST = 5
"""Steps of one call, filter or test, next to what its arguments weigh."""

_DEPTH = "depth of includes"
_LOOKING = frozenset({"d", "default", "defined", "none", "sameas", "undefined"})
"""Filters and tests that neither show nor compare what they are given."""


class Codes:
    """The code of templates and values, by name and text: it depends on nothing else, so another sandbox may use it.

    What the renderings of one revision do not use is not kept for the one after the next.
    """

    def __init__(self, before: Codes | None = None) -> None:
        self._before: Mapping[tuple[str | None, str], CodeType] = {} if before is None else before._used
        self._used: dict[tuple[str | None, str], CodeType] = {}

    def find(self, source: str, name: str | None) -> CodeType | None:
        """Return what *source* was compiled to, in this revision or the one before."""
        key = (name, source)
        found = self._used.get(key) or self._before.get(key)
        return found if found is None else self.keep(source, name, found)

    def keep(self, source: str, name: str | None, code: CodeType) -> CodeType:
        """Remember *code*, up to a bound that only a hostile revision reaches."""
        if len(self._used) >= MAX_KEPT:
            self._used.clear()
        self._used[(name, source)] = code
        return code

    def close(self, sources: Mapping[str, bytes]) -> None:
        """Forget the revision before, but for templates that are still among *sources* and that nothing changed."""
        still = {(name, text.decode(errors="replace")) for name, text in sources.items()}
        self._used = {key: code for key, code in self._before.items() if key in still} | self._used
        self._before = {}


class HostContext(Context):
    """Finds a name among what the template set, then the host's variables, then the functions."""

    environment: Sandbox

    def __init__(
        self,
        environment: Sandbox,
        parent: dict[str, Any],
        name: str | None,
        blocks: dict[str, Callable[[Context], Any]],
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - Jinja passes it by this name
    ) -> None:
        super().__init__(environment, parent, name, blocks, globals)
        if parent.get(_DEPTH, 0) > MAX_INCLUDES:
            raise Exceeded(f"Templates include each other more than {MAX_INCLUDES} deep.")

    def resolve_or_missing(self, key: str) -> Any:
        """Return the value of *key*, or Jinja's ``missing``."""
        if key in self.vars:
            return self.vars[key]
        if key in self.parent:
            return self.parent[key]
        scope = self.environment.scope
        return scope.lookup(key) if scope.has(key) else self.environment.functions.get(key, missing)

    def get_all(self) -> dict[str, Any]:
        """Return what an included template sees of this one, one level deeper."""
        return {**self.parent, **self.vars, _DEPTH: self.parent.get(_DEPTH, 0) + 1}


class Sandbox(ImmutableSandboxedEnvironment):
    """Ansible's settings for templates, with only what is allowed. One rendering at a time."""

    intercepted_binops = frozenset(OPERATIONS)
    context_class = HostContext

    def __init__(self, sources: Mapping[str, bytes], purse: int | None = None, codes: Codes | None = None) -> None:
        super().__init__(
            trim_blocks=True,
            undefined=Missing,
            finalize=self.shown,
            optimized=False,  # Constant folding would work a template's arithmetic out unbounded by its rendering.
            autoescape=False,
        )
        self.sources = sources
        self.scope = Scope({})
        self.meter = Meter(purse)
        self.globals = {}
        self.functions: dict[str, Any] = self._functions()
        self.filters = {name: self._metered(name, each) for name, each in filters.FILTERS.items()} | self._bounds()
        self.tests = {name: self._metered(name, each) for name, each in filters.TESTS.items()}
        self.asked: set[str] = set()
        self._codes = Codes() if codes is None else codes
        self._compiled: dict[str, Template] = {}

    def _functions(self) -> dict[str, Any]:
        def bounded_range(*ends: int) -> range:
            span = range(*ends)
            check_items(len(span))
            return span

        def mapping(*pairs: Any, **values: Any) -> dict[Any, Any]:
            return dict(*pairs, **values)

        return {"range": bounded_range, "dict": mapping, "namespace": Namespace, "cycler": Cycler, "joiner": Joiner}

    def _bounds(self) -> dict[str, Callable[..., Any]]:
        """Return the functions that the rewritten tree calls."""
        return {
            BOUND_ITEMS: self.meter.count,
            BOUND_VALUE: self._weighed,
            JOINED_TEXT: self.concat_values,
            CHARGE: self.meter.charge,
        }

    # What a template may reach and call.

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return an allowed attribute of *obj*, its item of that name, or Missing."""
        if isinstance(obj, Undefined):
            return obj._fail_with_undefined_error()
        if attribute in READABLE.get(type(obj), ()):
            # A view of a lazy container would be lazy too; `get` alone has to be, for values that refer to a sibling.
            return getattr(obj if attribute == "get" else plain(obj), attribute)
        if type(obj) is Namespace and not attribute.startswith("_"):
            return getattr(obj, attribute, self.undefined(obj=obj, name=attribute))
        return self._item(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return the item *argument* of *obj*, or Missing."""
        if isinstance(argument, str) and type(obj) not in (dict, LazyDict):
            return self.getattr(obj, argument)
        self.meter.charge(weigh(argument))
        return self._item(obj, argument)

    def _item(self, obj: Any, key: Any) -> Any:
        if isinstance(obj, TemplateModule):
            obj = {name: each for name, each in vars(obj).items() if not name.startswith("_")}
        try:
            return obj[key]
        except (TypeError, LookupError, AttributeError):
            return self._no(obj, key)

    def _no(self, obj: Any, key: Any) -> Undefined:
        if isinstance(key, str) and key.startswith("_"):
            return self.unsafe_undefined(obj, key)
        return self.undefined(obj=obj, name=key)

    def is_safe_callable(self, obj: Any) -> bool:
        """Say whether *obj* came from an allowed place."""
        if isinstance(obj, BuiltinMethodType | MethodType):
            return obj.__name__ in READABLE.get(type(obj.__self__), ())
        return isinstance(obj, Macro | BlockReference | Joiner | Undefined) or obj in self.functions.values()

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as Jinja
        """Call a macro, a block, a function or an allowed method, for its price."""
        args = tuple(plain(argument) for argument in args)
        # A macro may be given anything; whatever else is called takes data only, for it may show or compare it.
        only_data = not isinstance(__obj, Macro)
        given = [*args, *(plain(each) for name, each in kwargs.items() if name not in ("_loop_vars", "_block_vars"))]
        __self.meter.charge(CALL_COST + sum(weigh(each) for each in given if only_data or is_data(each)))
        if isinstance(__obj, BuiltinMethodType | MethodType):
            owner = __obj.__self__
            __self.meter.charge(weigh(owner) if is_data(owner) else CALL_COST)
            check_method(__obj, args)
        return super().call(__context, __obj, *args, **kwargs)

    def call_filter(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Call a filter that a template names in a text, as in ``map('upper')``: none of those only we may call."""
        if name not in filters.FILTERS:
            raise TemplateRuntimeError("No such filter is known here")
        return super().call_filter(name, *args, **kwargs)

    # What a template may make.

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002
        """Carry out a binary operator, bounded."""
        result = operate(operator, plain(left), plain(right))
        self.meter.charge(len(result) >> 4 if type(result) in (str, list) else 1)
        return result

    def shown(self, value: Any) -> str:
        """Return *value* as ``{{ }}`` writes it: nothing for None, as Ansible does."""
        return "" if value is None else self.text_of(value)

    def text_of(self, value: Any) -> str:
        """Return *value* as ``~`` and the filters take it for a text."""
        if type(value) is str:
            self.meter.charge(weigh(value))
            return value
        if value is None or isinstance(value, int | float | Undefined):
            return str(value)
        made = plain(value)
        self.meter.charge(weigh(made))
        return str(made)

    def data_of(self, value: Any) -> Any:
        """Return *value* as plain data for whoever asked from outside."""
        made = plain(listed(value) if hasattr(value, "__next__") else value)
        self.meter.charge(weigh(made))
        return finished(made)

    def concat(self, parts: Iterable[str]) -> str:
        """Join the pieces of a macro or a block."""
        text = joined(parts)
        self.meter.charge(len(text) >> 6)
        return text

    def concat_values(self, values: Sequence[Any]) -> str:
        """Carry out ``~``."""
        return self.concat(self.text_of(value) for value in values)

    def _weighed(self, value: Any) -> Any:
        value = plain(value)
        self.meter.charge(1 + weigh(value))
        return value

    def _metered(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return *function* with evaluated arguments, a price by their weight, and a result that is counted."""
        mark = getattr(function, "jinja_pass_arg", None)
        own = 0 if mark is None else 1

        def run(*args: Any, **kwargs: Any) -> Any:
            given = [*args[:own], *(plain(argument) for argument in args[own:])]
            named = {key: plain(argument) for key, argument in kwargs.items()}
            weighed = [each for each in (*given[own:], *named.values()) if not _is_free(name, each)]
            self.meter.charge(CALL_COST + sum(map(weigh, weighed)))
            result = function(*given, **named)
            return self.meter.count(result, 1) if hasattr(result, "__next__") else result

        if mark is not None:
            # Jinja asks the wrapper, not the function, whether it wants the context or the environment.
            run.jinja_pass_arg = mark  # type: ignore[attr-defined]
        return run

    # Compiling.

    def _load_template(self, name: str, globals: MutableMapping[str, Any] | None) -> Template:  # noqa: A002, ARG002
        self.meter.charge(CALL_COST)
        self.asked.add(name)
        if name not in self._compiled:
            self._compiled[name] = self.compiled(self.source(name), name)
        return self._compiled[name]

    def source(self, name: str) -> str:
        """Return the text of template *name*; TemplateNotFound if there is none."""
        if name not in self.sources:
            raise TemplateNotFound(name)
        if len(self.sources[name]) > MAX_SOURCE:
            raise Exceeded(f"A template may have {MAX_SOURCE // 1024} KiB at most.")
        return self.sources[name].decode()

    def join_path(self, template: str, parent: str | None) -> str:
        """Return the name an include means: below templates/, or else beside the template that includes it."""
        beside = posixpath.join(posixpath.dirname(parent or ""), template)
        self.asked |= {template, beside}
        return beside if template not in self.sources and beside in self.sources else template

    def compiled(self, source: str, name: str | None) -> Template:
        """Compile *source*; a single expression without a *name* leaves its value as ``VALUE`` in the context."""
        code = self._codes.find(source, name)
        if code is None:
            code = self._codes.keep(source, name, self._code(source, name))
        return Template.from_code(self, code, {})

    def _code(self, source: str, name: str | None) -> CodeType:
        if len(source) > MAX_SOURCE:
            raise Exceeded(f"A template may have {MAX_SOURCE // 1024} KiB at most.")
        tree = rewrite(self._parsed(source), value=name is None)
        tree.set_environment(self)
        code: CodeType = self.compile(tree, name, name or "<value>")
        return code

    def _parsed(self, source: str) -> nodes.Template:
        """Parse *source*, by the settings of its own first line where it has one: ``#jinja2: lstrip_blocks: True``."""
        settings, rest = own_settings(source)
        if not settings:
            return self.parse(source)
        try:
            return one_line_down(self.overlay(**settings).parse(rest))
        except TemplateSyntaxError as error:
            error.lineno += 1
            raise


def _is_free(name: str, value: Any) -> bool:
    """Say whether *value* needs no weighing: what is still to come is counted as it comes, and some only look."""
    return hasattr(value, "__next__") or (name in _LOOKING and not is_data(value))
