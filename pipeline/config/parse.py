"""YAML text and overrides → settings.Job, or every fault at once. No file, environment or argument list is read here.

settings.py is the single source: pydantic checks values against its annotations, and messages put the same annotations
in words. A value whose feature is not built is refused as not available yet, never ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from pipeline.config import tree
from pipeline.config.tree import Fault, Key, Malformed
from pipeline.config.wording import advice, expected, named, nearest, printable, shown
from pipeline.errors import ConfigInvalid
from pipeline.records import JSON
from pipeline.remote import SCHEMES, WEB
from pipeline.settings import Job


def _scheme(value: JSON) -> str | None:
    found = re.match(r"([a-z][a-z0-9+.-]*)://", value, re.IGNORECASE) if isinstance(value, str) else None
    return None if found is None else found[1].lower()


def _is_unread(value: JSON) -> bool:
    """Whether it is a URL of a kind that is not read."""
    return _scheme(value) not in (None, *SCHEMES, *WEB)


def _is_unwritten(value: JSON) -> bool:
    return _scheme(value) not in (None, *SCHEMES)


EXPECTED_STORE = f"expected a path on this machine, or {', '.join(f'{scheme}://' for scheme in SCHEMES)}"
EXPECTED_PLACE = f"{EXPECTED_STORE}, https://"

NOT_YET: Sequence[tuple[Key, Callable[[JSON], bool], str]] = (
    (("input", "path"), _is_unread, EXPECTED_PLACE),
    (("output", "path"), _is_unwritten, EXPECTED_STORE),
)
"""Values of a known key whose feature is not built: where, which, and what there is instead."""

SECRET = re.compile(r"sk-ant-[\w-]{3,}")
UNSPEAKABLE = re.compile(SECRET.pattern + r"|(?<=//)[^/\s]*:[^/\s]*(?=@)")
"""What no message repeats: keys of the API, and passwords in URLs."""
SECRET_NAMES = {"apikey", "anthropicapikey", "xapikey", "apitoken", "authtoken", "anthropicauthtoken", "accesstoken"}
"""In lower case, without hyphens and underscores."""
NO_SECRETS = "a config holds no keys; remove it and set ANTHROPIC_API_KEY in the environment"


def parse(text: str, where: str, overrides: Sequence[str] = ()) -> Job:
    """The job that the text of a config file describes.

    `where` is what messages call the file. `overrides` are `dotted.key=value`, the value read as YAML; later ones win.
    Raises ConfigInvalid with all faults, each `where:line: dotted.key: problem` or `--set override: dotted.key: problem`,
    and none with a secret in it.
    """
    whole = tree.read(text)
    if isinstance(whole, Malformed):
        raise _invalid(where, [f"{where}:{whole.line}:{whole.column}: cannot be read as YAML: {whole.problem}"])
    if not isinstance(whole.root, dict):
        problem = "the file is empty" if whole.root is None else f"is {shown(whole.root)}"
        raise _invalid(where, [f"{where}:{whole.lines.get((), 1)}: {problem}, expected {expected(Job)}"])
    draft = _Draft(where, whole.root, whole.lines, whole.faults)
    for override in overrides:
        draft.override(override)
    secrets = list(_secrets(draft.values, ()))
    if not secrets and (found := SECRET.search(text)):  # in a comment
        secrets = [Fault((), NO_SECRETS, text.count("\n", 0, found.start()) + 1)]
    draft.faults += secrets
    draft.faults += _not_yet(draft.values)
    job = _validated(draft)
    if job is None:
        raise _invalid(where, draft.report())
    return job


def canonical(job: Job) -> dict[str, JSON]:
    """The job as JSON values, with every key. As a config it describes the same job."""
    whole: dict[str, JSON] = _adapter().dump_python((job,), mode="json")[0]
    return whole


def _invalid(where: str, faults: Sequence[str]) -> ConfigInvalid:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return ConfigInvalid(UNSPEAKABLE.sub("…", f"{where} has {count}"), faults=[UNSPEAKABLE.sub("…", fault) for fault in faults])


class _Draft:
    """The values of a config before they are a job, with the place that each came from."""

    def __init__(self, where: str, values: dict[str, JSON], lines: Mapping[Key, int], faults: Sequence[Fault]) -> None:
        self.where = where
        self.values = values
        self.lines = lines
        self.faults = list(faults)
        self.overrides: dict[Key, str] = {}
        self.unread: list[str] = []
        """What the report says of overrides that set nothing."""

    def override(self, text: str) -> None:
        dotted, equals, value = text.partition("=")
        key: Key = tuple(name.strip() for name in dotted.split("."))
        holds_secret = any(_is_secret_name(name) for name in key)
        place = f"--set {printable(dotted)}=…" if holds_secret else f"--set {printable(text)}"
        if not equals or not all(key):
            self.unread.append(f"{place}: expected dotted.key=value, such as model.max_tokens=2048")
            return
        read = tree.read(value)
        if isinstance(read, Malformed):
            self.unread.append(f"{place}: {named(key)}: cannot be read as YAML, column {read.column}: {read.problem}")
            return
        section = self.values
        for depth, name in enumerate(map(str, key[:-1]), start=1):
            inner = section.get(name)
            if not isinstance(inner, dict):
                inner = section[name] = {}
                self._replace(key[:depth], place)
            section = inner
        section[str(key[-1])] = read.root
        self._replace(key, place)
        self.faults += (Fault((*key, *fault.key), fault.problem) for fault in read.faults)

    def _replace(self, key: Key, place: str) -> None:
        """What was said of the old value, and where it stood, ends with it."""
        self.lines = {old: line for old, line in self.lines.items() if not _within(old, key)}
        self.overrides = {old: place for old, place in self.overrides.items() if not _within(old, key)}
        self.faults = [fault for fault in self.faults if not _within(fault.key, key)]
        self.overrides[key] = place

    def report(self) -> list[str]:
        """One line a fault, in the order of the file, then in that of the overrides."""
        places = list(self.overrides.values())
        found: list[tuple[int, int, str]] = []
        for fault in self.faults:
            place: str | int = fault.line if fault.line is not None else self._place(fault.key)
            problem = f"{named(fault.key)}: {fault.problem}" if fault.key else fault.problem
            if isinstance(place, int):
                found.append((0, place, f"{self.where}:{place}: {problem}"))
            else:
                found.append((1, places.index(place), f"{place}: {problem}"))
        found.sort(key=lambda line: line[:2])
        return [*(line for _, _, line in found), *self.unread]

    def _place(self, key: Key) -> str | int:
        """The override or the line that a key comes from; for a key that is missing, that of its section."""
        while key:
            if key in self.overrides:
                return self.overrides[key]
            if key in self.lines:
                return self.lines[key]
            key = key[:-1]
        return self.lines.get((), 1)


def _within(key: Key, outer: Key) -> bool:
    return key[: len(outer)] == outer


def _is_secret_name(name: str | int) -> bool:
    return re.sub(r"[-_\s]", "", str(name)).lower() in SECRET_NAMES


def _secrets(value: JSON, key: Key) -> Iterator[Fault]:
    if (key and _is_secret_name(key[-1])) or (isinstance(value, str) and SECRET.search(value)):
        yield Fault(key, NO_SECRETS)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _secrets(inner, (*key, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _secrets(inner, (*key, index))


def _not_yet(values: dict[str, JSON]) -> Iterator[Fault]:
    """What is asked of features that are not built."""
    for key, is_not_built, instead in NOT_YET:
        value = _at(values, key)
        items = list(enumerate(value)) if isinstance(value, list) else []
        for at, item in [(key, value), *(((*key, index), item) for index, item in items)]:
            if is_not_built(item):
                yield Fault(at, f"{shown(item)} is not available yet, {instead}")


def _at(values: JSON, key: Key) -> JSON:
    """The value that stands there, None where nothing does."""
    for step in key:
        if isinstance(values, dict) and isinstance(step, str):
            values = values.get(step)
        elif isinstance(values, list) and isinstance(step, int):
            values = values[step]
        else:
            return None
    return values


@cache
def _adapter() -> TypeAdapter[tuple[Job]]:
    # pydantic takes a config for plain dataclasses only from the outside, and only around something else: hence the tuple.
    return TypeAdapter(tuple[Job], config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))


def _validated(draft: _Draft) -> Job | None:
    """The job; None where the draft has faults, to which those of the values are added."""
    for name, kind in _fields(Job).items():
        if is_dataclass(kind) and draft.values.get(name) is None:
            draft.values[name] = {}  # a section left out, or with every key commented out
    source = draft.values["input"]
    if isinstance(source, dict) and isinstance(source.get("path"), str):
        source["path"] = [source["path"]]
    prompt = draft.values["prompt"]
    alone = isinstance(prompt, dict) and not isinstance(prompt.get("user"), (list, NoneType))
    if isinstance(prompt, dict) and alone:
        prompt["user"] = [prompt["user"]]
    short = isinstance(prompt, dict) and not isinstance(prompt.get("long", {}), dict)
    if isinstance(prompt, dict) and short:
        prompt["long"] = {"do": prompt["long"]}
    known = {fault.key for fault in draft.faults}
    try:
        # As JSON, because strict pydantic takes a mapping for a dataclass and a list for a tuple only from there.
        (job,) = _adapter().validate_json(json.dumps([draft.values]))
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        for problem in details:
            fault = _fault(problem["type"], problem["loc"][1:], draft.values)
            if alone and fault.key == ("prompt", "user", 0):
                fault = replace(fault, key=("prompt", "user"))
            if short and fault.key == ("prompt", "long", "do"):
                fault = replace(fault, key=("prompt", "long"))
            if fault.key not in known:
                draft.faults.append(fault)
                known.add(fault.key)
        return None
    return None if draft.faults or draft.unread else job


def _fault(problem: str, location: Key, values: JSON) -> Fault:
    key, kind = _kind(location)
    if key == location and problem == "unexpected_keyword_argument":
        return Fault(key, f"no such key{nearest(key, _known())}")
    if key == location and problem == "missing":
        return Fault(key, f"missing, expected {expected(kind)}")
    value = _at(values, key)
    return Fault(key, f"is {shown(value)}, expected {expected(kind)}{advice(value, kind)}")


def _kind(location: Key) -> tuple[Key, object]:
    """Key and annotation of what pydantic names by `location`, which goes on into the members of a union."""
    kind: object = Job
    for depth, step in enumerate(location):
        inner = _bare(kind)
        if isinstance(inner, type) and is_dataclass(inner):
            kind = _fields(inner).get(str(step))
        elif get_origin(inner) is tuple:
            kind = get_args(inner)[0]
        elif get_origin(inner) is Mapping:
            kind = get_args(inner)[1]
        else:
            return location[:depth], kind
    return location, kind


def _bare(kind: object) -> object:
    """The annotation without bounds and without null."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        members = [member for member in get_args(kind) if member is not NoneType]
        return _bare(members[0]) if len(members) == 1 else kind
    return kind


@cache
def _fields(section: type) -> dict[str, object]:
    return get_type_hints(section, include_extras=True)


@cache
def _known() -> tuple[Key, ...]:
    """Every key that there is, sections too."""
    sections = {name: kind for name, kind in _fields(Job).items() if isinstance(kind, type) and is_dataclass(kind)}
    inner = [(section, name) for section, kind in sections.items() for name in _fields(kind)]
    return (*((name,) for name in _fields(Job)), *inner)
