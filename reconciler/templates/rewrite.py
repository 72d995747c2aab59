"""Rewrites the tree of a parsed template so that everything that repeats or grows is counted.

``sandbox`` calls it before compiling. The functions it inserts have names with a space in them,
which the sandbox provides and no template can spell.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.visitor import NodeTransformer

from reconciler.templates.limits import MAX_DIGITS, Exceeded

MAX_NODES = 20_000
"""Nodes of one template's tree."""
MAX_NESTING = 100
"""How deep expressions and statements may nest."""
VALUE = "__value__"
"""Where the value of a single expression is left."""
BOUND_ITEMS, BOUND_VALUE, JOINED_TEXT, CHARGE = "bound items", "bound value", "joined text", "charge steps"

_HEADER = "#jinja2:"
_SETTINGS: dict[str, type] = {
    "trim_blocks": bool,
    "lstrip_blocks": bool,
    "variable_start_string": str,
    "variable_end_string": str,
    "block_start_string": str,
    "block_end_string": str,
    "comment_start_string": str,
    "comment_end_string": str,
}


def own_settings(source: str) -> tuple[dict[str, Any], str]:
    """Return the settings of a ``#jinja2:`` first line, as Ansible has it, and the text without that line."""
    if not source.startswith(_HEADER):
        return {}, source
    head, _, rest = source.removeprefix(_HEADER).partition("\n")
    settings = dict(_setting(pair) for pair in head.split(","))
    return settings, rest


def _setting(pair: str) -> tuple[str, Any]:
    name, _, text = pair.partition(":")
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError):
        value = None
    wanted = _SETTINGS.get(name.strip())
    if wanted is None or type(value) is not wanted or value == "":
        raise TemplateSyntaxError(f"The setting {name.strip()!r} of the #jinja2 line cannot be used", 1)
    return name.strip(), value


def one_line_down(tree: nodes.Template) -> nodes.Template:
    """Return *tree* with every line counted from below a first line that was taken away."""
    for node in tree.find_all(nodes.Node):
        node.lineno += 1
    return tree


def rewrite(tree: nodes.Template, *, value: bool) -> nodes.Template:
    """Return *tree* with its bounds in; with *value*, a single expression is kept as ``VALUE``, not written out."""
    _measure(tree)
    if value:
        _keep_value(tree)
    rewritten: nodes.Template = _Bounds().visit(tree)
    return rewritten


def _keep_value(tree: nodes.Template) -> None:
    match tree.body:
        case [nodes.Output(nodes=[expression])] if not isinstance(expression, nodes.TemplateData):
            tree.body = [nodes.Assign(nodes.Name(VALUE, "store"), expression, lineno=expression.lineno)]
        case _:
            pass


def _measure(tree: nodes.Node) -> None:
    """Refuse a tree too large or too deep for those who walk it by recursion: Jinja's compiler and Python's."""
    level: list[nodes.Node] = [tree]
    total = depth = 0
    while level:
        total += len(level)
        depth += 1
        if total > MAX_NODES or depth > MAX_NESTING:
            raise Exceeded("The template is too large, or nests too deeply.")
        level = [child for node in level for child in node.iter_child_nodes()]


def _size(body: list[nodes.Node]) -> int:
    """Return the nodes of *body*: what it costs to carry it out once, loops within it apart."""
    total, pending = 0, list(body)
    while pending:
        node = pending.pop()
        total += 1
        pending.extend(node.iter_child_nodes())
    return total


def _through(function: str, node: nodes.Expr, *arguments: Any) -> nodes.Expr:
    """Return an expression that passes the value of *node* through *function*."""
    constants = [nodes.Const(argument, lineno=node.lineno) for argument in arguments]
    return nodes.Filter(node, function, constants, [], None, None, lineno=node.lineno)


def _bounded(node: nodes.Expr) -> nodes.Expr:
    return node if isinstance(node, nodes.Const) else _through(BOUND_VALUE, node)


class _Bounds(NodeTransformer):
    """Puts a bounded function round whatever can repeat or grow."""

    def get_visitor(self, node: nodes.Node) -> Callable[[Any], Any] | None:
        """Return what to do with *node*, or None to go on with its children."""
        bound = _BOUNDS.get(type(node))
        return None if bound is None else partial(bound, self)

    def charge(self, node: Any) -> Any:
        """A body that can be entered again and again costs what it holds, each time."""
        cost = nodes.Const(1 + _size(node.body), lineno=node.lineno)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(nodes.Filter(cost, CHARGE, [], [], None, None, lineno=node.lineno)))
        return node

    def bound_loop(self, node: nodes.For) -> nodes.For:
        """A loop takes its body's size for each item."""
        if node.recursive:
            raise TemplateSyntaxError("A recursive loop is not allowed here", node.lineno)
        cost = 1 + _size(node.body)
        self.generic_visit(node)
        node.iter = _through(BOUND_ITEMS, cast(nodes.Expr, node.iter), cost)
        return node

    def bound_joining(self, node: nodes.Concat) -> nodes.Expr:
        """``~`` joins as many texts as it likes."""
        self.generic_visit(node)
        return _through(JOINED_TEXT, nodes.List(node.nodes, lineno=node.lineno))

    def bound_comparing(self, node: nodes.Compare) -> nodes.Compare:
        """Comparing walks through both sides."""
        self.generic_visit(node)
        node.expr = _bounded(node.expr)
        for operand in node.ops:
            operand.expr = _bounded(operand.expr)
        return node

    def bound_slice(self, node: nodes.Getitem) -> nodes.Expr:
        """A slice copies."""
        self.generic_visit(node)
        return _through(BOUND_VALUE, node) if isinstance(node.arg, nodes.Slice) else node

    def bound_key(self, node: nodes.Pair) -> nodes.Pair:
        """A key is hashed through all it holds."""
        self.generic_visit(node)
        node.key = _bounded(node.key)
        return node

    def bound_number(self, node: nodes.Const) -> nodes.Const:
        """A number can be written as long as the template."""
        if isinstance(node.value, int) and node.value.bit_length() > MAX_DIGITS:
            raise TemplateSyntaxError("This number has too many digits", node.lineno)
        return node

    def with_context(self, node: Any) -> Any:
        """Without its context Jinja would keep the module, and one host's values with it, for the next host."""
        self.generic_visit(node)
        node.with_context = True
        return node

    def refuse_escaping(self, node: nodes.Node) -> nodes.Node:
        """There is nothing to escape in a server's files."""
        raise TemplateSyntaxError("'autoescape' is not allowed here", node.lineno)


_BOUNDS: dict[type[nodes.Node], Callable[[_Bounds, Any], Any]] = {
    nodes.Template: _Bounds.charge,
    nodes.Block: _Bounds.charge,
    nodes.Macro: _Bounds.charge,
    nodes.CallBlock: _Bounds.charge,
    nodes.For: _Bounds.bound_loop,
    nodes.Concat: _Bounds.bound_joining,
    nodes.Compare: _Bounds.bound_comparing,
    nodes.Getitem: _Bounds.bound_slice,
    nodes.Pair: _Bounds.bound_key,
    nodes.Const: _Bounds.bound_number,
    nodes.Include: _Bounds.with_context,
    nodes.Import: _Bounds.with_context,
    nodes.FromImport: _Bounds.with_context,
    nodes.ScopedEvalContextModifier: _Bounds.refuse_escaping,
}
