"""The templates of a job, compiled once: the constant part rendered once a run, the user's turns rendered per row.

Templates are Jinja2, sandboxed and strict: a name that is not there is an error, never an empty string. Their authors are
trusted; row values and replies are data and are never compiled. Autoescape is off: a prompt is text, not HTML.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta
from jinja2.nodes import Const, Filter, Getattr, Getitem, Name, Neg, Node, Output, TemplateData
from jinja2.nodes import Template as Parsed
from jinja2.sandbox import ImmutableSandboxedEnvironment

from pipeline.errors import ConfigInvalid
from pipeline.records import JSON
from pipeline.render.document import document
from pipeline.render.value import printed

ROW = "row"
"""In a user template, the row itself, for columns whose name is no variable: `{{ row["Review Text"] }}`."""
REPLIES = "replies"
"""In a user template after the first, the replies so far, in order: a text, or the answer as an object where that turn has a
schema."""
KNOWN_TO_SYSTEM = ("schema", "schemas", "examples")

RENDERING = (TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError)
"""What rendering a template that compiled may raise, by the values it meets."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Where a template takes an earlier reply: `replies[0]`, or a property of it."""

    index: int
    name: str | None
    line: int


@dataclass(frozen=True, slots=True)
class UserTemplate:
    """One turn of the user's, compiled."""

    where: str
    """Its key in the config: `prompt.user`, or `prompt.user[1]` where there are several."""
    text: str
    template: Template
    columns: Mapping[str, int]
    """What it takes from a row, and the line where it does first, from 1."""
    takes_replies: bool
    taken: tuple[Taken, ...]
    """Those of them that can be told by looking."""
    has_words: bool
    """Whether it says anything of its own around the values."""
    wraps: bool
    """Whether a value stands between tags (`document`)."""
    bare: tuple[str, ...]
    """Columns that it prints without such tags."""

    def render(self, values: Mapping[str, object], replies: Sequence[JSON] = ()) -> str:
        """The turn's text. Raises one of RENDERING."""
        known = {ROW: values, **values}
        return self.template.render({**known, REPLIES: replies} if self.takes_replies else known)

    def at(self, error: BaseException) -> str:
        """The place at which rendering raised: `prompt.user, line 2`."""
        number = line(error)
        return self.where if number is None else f"{self.where}, line {number}"


@dataclass(frozen=True, slots=True)
class Templates:
    """All templates of a job, compiled."""

    system: Template | None
    """None: a built-in one (constant.py)."""
    users: tuple[UserTemplate, ...]
    """At least one; the last asks for the answer."""
    columns: frozenset[str]
    """What all of them take from a row."""
    states_schema: bool
    """Whether the system part shows the schema to the model."""
    states_schemas: bool
    """Whether it shows those of the earlier turns."""
    states_examples: bool
    """Whether the system part shows the examples; if not, they are turns of the conversation."""


def compiled(system: str | None, *users: str) -> Templates:
    """The templates, or ConfigInvalid naming template and line of every fault. `users`: the turns of one conversation."""
    environment = _environment()
    faults: list[str] = []
    stated = frozenset({"schema", "schemas", *(["examples"] if len(users) > 1 else [])})
    if system is not None and (parsed := _parsed(environment, "prompt.system", system, faults)) is not None:
        names = _names(parsed)
        stated = frozenset(names)
        faults += _strangers("prompt.system", names, KNOWN_TO_SYSTEM)
    turns = [
        _user(environment, f"prompt.user[{number}]" if len(users) > 1 else "prompt.user", text, number > 0, faults)
        for number, text in enumerate(users)
    ]
    if faults:
        raise ConfigInvalid("the prompt templates cannot be used", faults=faults)
    made = tuple(turn for turn in turns if turn is not None)
    return Templates(
        system=None if system is None else environment.from_string(system),
        users=made,
        columns=frozenset(name for turn in made for name in turn.columns),
        states_schema="schema" in stated or "schemas" in stated,
        states_schemas="schemas" in stated,
        states_examples="examples" in stated,
    )


def stated_once(text: str, where: str, known: Sequence[str]) -> Template:
    """A template of a job that is rendered once a run and knows these names. ConfigInvalid naming line of every fault."""
    environment = _environment()
    faults: list[str] = []
    if (parsed := _parsed(environment, where, text, faults)) is not None:
        faults += _strangers(where, _names(parsed), known)
    if faults:
        raise ConfigInvalid("the prompt templates cannot be used", faults=faults)
    return environment.from_string(text)


def refuse_unknown_replies(templates: Templates, properties: Sequence[Collection[str] | None]) -> None:
    """Raises ConfigInvalid where a turn takes of an earlier reply what that never holds: the turns before would be paid for
    nothing. `properties`: of the answer to each turn; None for free text."""
    faults = [
        f"{user.where}, line {taken.line}: replies[{taken.index}] {wrong}"
        for number, user in enumerate(templates.users)
        for taken in user.taken
        if (wrong := _unknown(taken, properties[:number])) is not None
    ]
    if faults:
        raise ConfigInvalid("the prompt templates cannot be used", faults=faults)


def _unknown(taken: Taken, properties: Sequence[Collection[str] | None]) -> str | None:
    if not -len(properties) <= taken.index < len(properties):
        return f"is not there yet: this turn knows {len(properties)} replies, from 0"
    known = properties[taken.index]
    if taken.name is None or (known is None and hasattr(str, taken.name)) or taken.name in (known or ()):
        return None
    return f"has no {taken.name!r}: it {'is a text' if known is None else 'has ' + ', '.join(sorted(known))}"


def built_in(text: str) -> Template:
    """A template of this program's own; a line with nothing but a block leaves no line."""
    return _environment().overlay(trim_blocks=True).from_string(text)


def line(error: BaseException) -> int | None:
    """The line of the template at which rendering raised; None where that is not known."""
    found: int | None = getattr(error, "lineno", None)
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":  # Jinja2 writes the template's lines into the traceback
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, finalize=printed, autoescape=False)
    environment.filters["document"] = document
    return environment


def _parsed(environment: ImmutableSandboxedEnvironment, where: str, text: str, faults: list[str]) -> Parsed | None:
    try:
        tree = environment.parse(text)
        environment.compile(text, raw=True)  # finds unknown filters and tests, which parsing does not
        return tree
    except TemplateSyntaxError as error:
        faults.append(f"{where}, line {error.lineno}: {error.message}")
    return None


def _strangers(where: str, names: Mapping[str, int], known: Sequence[str]) -> list[str]:
    return [
        f"{where}, line {names[name]}: {name!r} is not available there: the system part is the same for every row "
        f"and knows only {', '.join(known)}"
        for name in names.keys() - {*known}
    ]


def _user(
    environment: ImmutableSandboxedEnvironment, where: str, text: str, later: bool, faults: list[str]
) -> UserTemplate | None:
    tree = _parsed(environment, where, text, faults)
    if tree is None:
        return None
    names = _names(tree)
    takes_replies = later and names.pop(REPLIES, None) is not None
    if names.pop(ROW, None) is not None:
        for node in tree.find_all(Getitem):
            if (name := _of_row(node)) is not None:
                names.setdefault(name, node.lineno)
    printed = list(_printed(tree))
    return UserTemplate(
        where=where,
        text=text,
        template=environment.from_string(text),
        columns=names,
        takes_replies=takes_replies,
        taken=tuple(_taken(tree)) if takes_replies else (),
        has_words=any(isinstance(node, TemplateData) and node.data.strip() for node in printed),
        wraps=any(node.name == "document" for node in tree.find_all(Filter)),
        bare=tuple(dict.fromkeys(name for node in printed for name in _bare(node) if name in names)),
    )


def _names(tree: Parsed) -> dict[str, int]:
    """The variables that a template takes from outside, and the line of each."""
    free = meta.find_undeclared_variables(tree)
    lines: dict[str, int] = {}
    for node in tree.find_all(Name):
        if node.name in free:
            lines.setdefault(node.name, node.lineno)
    return lines


def _printed(tree: Parsed) -> Iterator[Node]:
    for output in tree.find_all(Output):
        yield from output.nodes


def _bare(node: Node) -> Iterator[str]:
    """Names in an expression that pass through no `document`."""
    if isinstance(node, Filter) and node.name == "document":
        return
    if isinstance(node, Name):
        yield node.name
    if isinstance(node, Getitem) and (name := _of_row(node)) is not None:
        yield name
    for child in node.iter_child_nodes():
        yield from _bare(child)


def _taken(tree: Parsed) -> Iterator[Taken]:
    for node in tree.find_all(Getitem):
        index, inner = _of_replies(node), _of_replies(node.node)
        if index is not None:
            yield Taken(index, None, node.lineno)
        if inner is not None and isinstance(node.arg, Const) and isinstance(node.arg.value, str):
            yield Taken(inner, node.arg.value, node.lineno)
    for attribute in tree.find_all(Getattr):
        inner = _of_replies(attribute.node)
        if inner is not None:
            yield Taken(inner, attribute.attr, attribute.lineno)


def _of_replies(node: Node) -> int | None:
    """The index in `replies[0]`."""
    if isinstance(node, Getitem) and isinstance(node.node, Name) and node.node.name == REPLIES:
        inner = node.arg.node if isinstance(node.arg, Neg) else node.arg
        if isinstance(inner, Const) and isinstance(inner.value, int):
            return -inner.value if isinstance(node.arg, Neg) else inner.value
    return None


def _of_row(node: Getitem) -> str | None:
    """The column in `row["column"]`."""
    if isinstance(node.node, Name) and node.node.name == ROW and isinstance(node.arg, Const):
        return node.arg.value if isinstance(node.arg.value, str) else None
    return None
