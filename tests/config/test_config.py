"""The config room: what is taken, what is refused, and the words of every refusal."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Annotated, get_type_hints

import pytest
from annotated_types import Predicate
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import tree
from pipeline.config.parse import EXPECTED_PLACE, EXPECTED_STORE, canonical, parse
from pipeline.config.wording import expected
from pipeline.errors import ConfigInvalid
from pipeline.records import JSON
from pipeline.settings import Call, Check, Input, Job, Model, Output, Prompting, Question, Run

GOOD = """\
name: reviews
input:
  path: a.csv
schema: s.json
prompt:
  user: "{{ text }}"
model:
  name: claude-haiku-5-5
output:
  path: out.parquet
"""
JOB = Job(
    name="reviews",
    input=Input(path=("a.csv",)),
    schema="s.json",
    prompt=Prompting(user=("{{ text }}",)),
    model=Model(name="claude-haiku-5-5"),
    output=Output(path="out.parquet"),
)
SECTIONS = {
    "input": Input,
    "prompt": Prompting,
    "model": Model,
    "call": Call,
    "check": Check,
    "run": Run,
    "output": Output,
}
DOCS = Path(__file__).parents[2] / "docs" / "config.md"
KEY = "sk-ant-api03-CANARY-0123456789"


def faults(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        parse(text, "job.yaml", overrides)
    assert not any("\n" in fault for fault in caught.value.faults)
    return list(caught.value.faults)


def told(text: str, *overrides: str) -> tuple[str, ...]:
    """The faults; none where the text is a job."""
    try:
        parse(text, "job.yaml", overrides)
    except ConfigInvalid as invalid:
        return invalid.faults
    return ()


def documented() -> str:
    block = re.search(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    return block[1]


def test_required_keys_alone_make_a_job_with_defaults() -> None:
    assert parse(GOOD, "job.yaml") == JOB


def test_every_kind_of_value_arrives_as_written() -> None:
    text = """\
name: r-1.x
input: {path: [a/*.csv, b.parquet], key: id, columns: [text, "7"]}
schema: s.json
prompt: {user: {file: user.j2}, system: "", examples: few.jsonl}
model: {name: m, max_tokens: 9, thinking: off, effort: low, format: tool, cache: 1h, stream: true}
call: {mode: online, base_url: local, rehearsal: f.yaml, concurrency: 8, timeout_s: 0.5, attempts: 1}
check: {repair: full, asks: 1, grow_max_tokens: 1.5}
run: {folder: state, max_failed: 0.5%, longest_wait_s: 0, drain_s: 3, workers: auto}
output: {path: o.jsonl, keep: [], prefix: a_}
"""
    assert parse(text, "job.yaml") == Job(
        name="r-1.x",
        input=Input(path=("a/*.csv", "b.parquet"), key="id", columns=("text", "7")),
        schema="s.json",
        prompt=Prompting(user=(Question(file="user.j2"),), system="", examples="few.jsonl"),
        model=Model(name="m", max_tokens=9, thinking="off", effort="low", format="tool", cache="1h", stream=True),
        call=Call(mode="online", base_url="local", rehearsal="f.yaml", concurrency=8, timeout_s=0.5, attempts=1),
        check=Check(repair="full", asks=1, grow_max_tokens=1.5),
        run=Run(folder="state", max_failed="0.5%", longest_wait_s=0, drain_s=3, workers="auto"),
        output=Output(path="o.jsonl", keep=(), prefix="a_"),
    )


def test_the_documented_config_has_every_key_once_and_no_other() -> None:
    root = tree.read(documented())
    assert isinstance(root, tree.Tree)
    known: set[tree.Key] = {(field.name,) for field in fields(Job)}
    known |= {(name, field.name) for name, section in SECTIONS.items() for field in fields(section)}
    assert set(root.lines) - {()} == known


def test_the_documented_values_are_the_defaults() -> None:
    job = parse(documented(), "config.md")
    for name, section in SECTIONS.items():
        for field in fields(section):
            if field.default is not MISSING:
                assert getattr(getattr(job, name), field.name) == field.default, f"{name}.{field.name}"


def test_the_documented_required_keys_are_those_without_default() -> None:
    required = {key for key, line in _documented_lines().items() if "# required" in line}
    top = {field.name for field in fields(Job) if field.name not in SECTIONS}
    inner = {f"{n}.{f.name}" for n, s in SECTIONS.items() for f in fields(s) if f.default is MISSING}
    assert required == top | inner


def _documented_lines() -> dict[str, str]:
    root = tree.read(documented())
    assert isinstance(root, tree.Tree)
    lines = documented().split("\n")
    return {".".join(map(str, key)): lines[line - 1] for key, line in root.lines.items() if key}


def test_a_blank_stop_sequence_is_refused_by_its_place() -> None:
    (fault,) = faults(GOOD, "model.stop_sequences=['a', ' ']")
    assert fault.endswith('model.stop_sequences[1]: is " ", expected a text that is not blank')


def test_every_setting_has_words_for_what_it_takes() -> None:
    for section in (Job, *SECTIONS.values()):
        for kind in get_type_hints(section, include_extras=True).values():
            assert expected(kind).isprintable()


@pytest.mark.parametrize("kind", [tuple[str, ...], Annotated[str, Predicate(str.islower)]])
def test_a_setting_without_words_is_our_fault(kind: object) -> None:
    with pytest.raises(TypeError, match=r"needs a doc\(\)"):
        expected(kind)


def test_a_section_with_every_key_commented_out_is_a_section_left_out() -> None:
    assert parse(GOOD + "call:\n  # attempts: 9\ncheck: null\nrun: {}\n", "job.yaml") == JOB


TURNS = "the template of a row's prompt as text or {file: path}, or a list of such: turns of one conversation"
A_TURN = "a template as text, {file: path}, or {text or file: …, schema: path}"
WRONG_VALUES = [
    # what is set, what is said after the key
    ("model.max_tokens='1024'", 'is "1024", expected a whole number of at least 1; write it without quotes'),
    ("model.max_tokens=1024.0", "is 1024.0, expected a whole number of at least 1; did you mean 1024?"),
    ("model.max_tokens=true", "is true, expected a whole number of at least 1"),
    ("model.max_tokens=0", "is 0, expected a whole number of at least 1"),
    ("model.max_tokens=", "is null, expected a whole number of at least 1"),
    ("model.max_tokens=0xfffffffffffffffffff", "cannot be read as int; if it is meant as text, put it in quotes"),
    ("model.stream=yes", 'is "yes", expected true or false; did you mean true?'),
    ("model.stream=1", "is 1, expected true or false"),
    ("model.stream=!!bool si", "cannot be read as bool; if it is meant as text, put it in quotes"),
    ("run.workers=true", "is true, expected auto or a whole number from 1 to 64"),
    ("run.workers=0", "is 0, expected auto or a whole number from 1 to 64"),
    ("model.format=natve", 'is "natve", expected one of auto, native, tool, prompt; did you mean native?'),
    ("model.thinking=false", "is false, expected one of auto, off, on"),
    ("model.name=5", "is 5, expected the id of a model, such as claude-haiku-5-5; if it is meant as text, put it in quotes"),
    (
        "model=NO",
        'is "NO", expected a mapping of name, max_tokens, thinking, effort, format, cache, stream, stop_sequences, extra, '
        "api_version",
    ),
    ("model.stop_sequences=x", 'is "x", expected a list of texts, none of them blank; did you mean [x]?'),
    ("model.extra=[1]", "is a list, expected a mapping of further parameters of the request"),
    ("model.api_version=2026", "is 2026, expected one of 2026-10-21, 2023-06-01"),
    ("call.timeout_s=.inf", "is Infinity, expected a number above 0; it must be finite"),
    ("call.timeout_s='3'", 'is "3", expected a number above 0; write it without quotes'),
    ("call.concurrency=aut", 'is "aut", expected auto or a whole number of at least 1; did you mean auto?'),
    ("call.concurrency=0", "is 0, expected auto or a whole number of at least 1"),
    ("call.mode=onlin", 'is "onlin", expected one of online, batch, auto; did you mean online?'),
    ("call.deadline=2 hours", 'is "2 hours", expected a time such as 90m, 2h or 1d'),
    ("call.batch_size=100001", "is 100001, expected a whole number from 1 to 100000"),
    ("prompt.user=''", f'is "", expected {A_TURN}'),
    ("prompt.user=[]", f"is a list, expected {TURNS}"),
    ("prompt.user=5", f"is 5, expected {A_TURN}; if it is meant as text, put it in quotes"),
    ("prompt.user={schema: s.json}", f"is a mapping, expected {A_TURN}"),
    ("prompt.user={text: a, file: b}", f"is a mapping, expected {A_TURN}"),
    ("check.grow_max_tokens=0.5", "is 0.5, expected a number of at least 1"),
    ("prompt.user={{ text }}", "a key must be text; a template such as {{ text }} needs quotes around it"),
    ("prompt.system={path: x}", "is a mapping, expected a template as text, or {file: path}"),
    ("input.path=[]", "is a list, expected the path of the corpus, or a list of paths"),
    ("input.path=ftp://b/k", f'"ftp://b/k" is not available yet, {EXPECTED_PLACE}'),
    (
        "input.encoding=utf8x",
        'is "utf8x", expected the name of a text encoding, such as utf-8, cp1252, latin-1, utf-16 or shift_jis',
    ),
    (
        "input.encoding=rot13",
        'is "rot13", expected the name of a text encoding, such as utf-8, cp1252, latin-1, utf-16 or shift_jis',
    ),
    ("input.delimiter=;;", 'is ";;", expected the one character between two cells, such as ";" or "\\t"'),
    ("input.types=int", 'is "int", expected a mapping of column names to text, int, float, bool, date, datetime or timestamp'),
    (
        "input.allow_urls=fals",
        'is "fals", expected a list of host names in lower case, such as [images.example.org] or false; did you mean false?',
    ),
    ("input.columns=text", 'is "text", expected a list of column names, each once; did you mean [text]?'),
    ("output.path=out.xlsx", 'is "out.xlsx", expected the path of the table to write, ending in .parquet, .csv or .jsonl'),
    ("output.path=.csv", 'is ".csv", expected the path of the table to write, ending in .parquet, .csv or .jsonl'),
    ("output.path=https://b/o.csv", f'"https://b/o.csv" is not available yet, {EXPECTED_STORE}'),
    ("output.keep=[a, a]", "is a list, expected all or a list of column names, each once"),
    ("run.max_failed=-1", 'is -1, expected a whole number of at least 0 or a share of the rows such as "1%"'),
    ("run.max_failed=1 %", 'is "1 %", expected a whole number of at least 0 or a share of the rows such as "1%"'),
    ("run.max_failed=101%", 'is "101%", expected a whole number of at least 0 or a share of the rows such as "1%"'),
    ("run.drain_s=-1", "is -1, expected a number of at least 0"),
    ('run.folder="a\\0b"', "holds a NUL or half a surrogate pair, expected text that UTF-8 can carry"),
    ('run.folder="\\ud800"', "holds a NUL or half a surrogate pair, expected text that UTF-8 can carry"),
    ("run.folder=!!binary aGk=", "tag !!binary is not read, expected a plain value without a tag"),
    (
        "run.folder=[",
        "cannot be read as YAML, column 2: while parsing a flow node, expected the node content, but found '<stream end>'",
    ),
]


@pytest.mark.parametrize(("override", "said"), WRONG_VALUES)
def test_a_wrong_value_is_told_with_what_was_expected(override: str, said: str) -> None:
    dotted = override.partition("=")[0]
    assert faults(GOOD, override) == [f"--set {override}: {dotted}: {said}"]


def test_a_conversation_is_a_list_of_templates_with_schemas_of_their_own() -> None:
    job = parse(GOOD, "job.yaml", ["prompt.user=[a, {file: b.j2}, {text: c, schema: c.json}, d]"])
    assert job.prompt.user == ("a", Question(file="b.j2"), Question(text="c", schema="c.json"), "d")


@pytest.mark.parametrize("turn", ["''", "5", "[a]", "{schema: s}", "{text: a, file: b}", "{fil: a}", "{text: 5}"])
def test_a_wrong_turn_is_told_by_its_place(turn: str) -> None:
    (fault,) = faults(GOOD, f"prompt.user=[a, {turn}, b]")
    assert ": prompt.user[1]: is " in fault
    assert f"expected {A_TURN}" in fault


NAMES = "expected a name for the run folder: at most 60 letters, digits, . _ -, not starting with a dot"


@pytest.mark.parametrize("name", ["", ".x", "..", "a/b", "a b", "a\\b", "x" * 61, "a\n"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    (fault,) = faults(GOOD, f"name={json.dumps(name)}")
    assert fault.endswith(NAMES)


@pytest.mark.parametrize(
    "url",
    ["https://api.anthropic.com", "https://proxy:8443/v1", "http://127.0.0.1:8000", "http://localhost", "http://[::1]:1"],
)
def test_a_base_url_may_be_https_or_this_machine(url: str) -> None:
    assert parse(GOOD, "job.yaml", [f"call.base_url={json.dumps(url)}"]).call.base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.anthropic.com",
        "http://127.0.0.1.evil.example",
        "http://localhost@evil.example",
        "https://u:p@proxy.example",
        "https://",
        "https://x:port",
        "https://[x",
        "https://a b",
        "https://a\tb",
        "https://a?b=c",
        "ftp://a",
        "api.anthropic.com",
        "",
    ],
)
def test_any_other_base_url_is_refused(url: str) -> None:
    (fault,) = faults(GOOD, f"call.base_url={json.dumps(url)}")
    assert fault.endswith("expected local, an https:// URL without a password, or an http:// URL of this machine")


UNKNOWN = [
    ("model.max_token=1", "model.max_token", "; did you mean model.max_tokens?"),
    ("model.max-tokens=1", "model.max-tokens", "; did you mean model.max_tokens?"),
    ("max_tokens=1", "max_tokens", "; did you mean model.max_tokens?"),
    ("model.timeout_s=1", "model.timeout_s", "; did you mean call.timeout_s?"),
    ("run.budjet_usd=1", "run.budjet_usd", "; did you mean run.budget_usd?"),
    ("model.tmeout_s=1", "model.tmeout_s", "; did you mean call.timeout_s?"),
    ("path=x", "path", "; did you mean input.path or output.path?"),
    ("promt.user=x", "promt", "; did you mean prompt?"),
    ("x.y.z=1", "x", None),
    ("check.qqq=1", "check.qqq", ", expected one of repair, asks, grow_max_tokens"),
    ("run.a\x1bb=1", "run.a\\x1bb", None),
]


@pytest.mark.parametrize(("override", "key", "advice"), UNKNOWN)
def test_an_unknown_key_brings_the_nearest_one(override: str, key: str, advice: str | None) -> None:
    (fault,) = faults(GOOD, override)
    assert fault.startswith("--set ")
    assert f": {key}: no such key" in fault
    assert fault.isprintable()
    if advice:
        assert fault.endswith(f"no such key{advice}")


def test_all_faults_come_at_once_in_the_order_of_the_file() -> None:
    text = """\
name: .hidden
input:
  path: [a.csv, 3]
  colums: [a]
schema: s.json
prompt:
  imags: [photo]
model:
  max_tokens: 0
  max_tokens: 7
  format: natve
call:
run: {max_failed: many}
output: out.csv
"""
    assert faults(text, "call.attempts=none", "nonsense", "check.asks=2") == [
        f'job.yaml:1: name: is ".hidden", {NAMES}',
        "job.yaml:3: input.path[1]: is 3, expected text of at least 1 character; if it is meant as text, put it in quotes",
        "job.yaml:4: input.colums: no such key; did you mean input.columns?",
        f"job.yaml:6: prompt.user: missing, expected {TURNS}",
        "job.yaml:7: prompt.imags: no such key; did you mean prompt.images?",
        "job.yaml:8: model.name: missing, expected the id of a model, such as claude-haiku-5-5",
        "job.yaml:10: model.max_tokens: given twice, first on line 9",
        'job.yaml:11: model.format: is "natve", expected one of auto, native, tool, prompt; did you mean native?',
        'job.yaml:13: run.max_failed: is "many", expected a whole number of at least 0 or a share of the rows such as "1%"',
        'job.yaml:14: output: is "out.csv", expected a mapping of path, keep, prefix',
        '--set call.attempts=none: call.attempts: is "none", expected a whole number of at least 1',
        "--set nonsense: expected dotted.key=value, such as model.max_tokens=2048",
    ]


def test_required_keys_that_are_missing_say_what_they_are() -> None:
    assert faults("name: x\n") == [
        "job.yaml:1: input.path: missing, expected the path of the corpus, or a list of paths",
        "job.yaml:1: schema: missing, expected the path of the JSON Schema that an answer must satisfy",
        f"job.yaml:1: prompt.user: missing, expected {TURNS}",
        "job.yaml:1: model.name: missing, expected the id of a model, such as claude-haiku-5-5",
        "job.yaml:1: output.path: missing, expected the path of the table to write, ending in .parquet, .csv or .jsonl",
    ]


def test_the_message_counts_the_faults_and_holds_them() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse(GOOD + "zzz: 1\nyyy: 2\n", "job.yaml")
    first, *rest = str(caught.value).split("\n")
    assert first == "job.yaml has 2 faults"
    assert [line.strip() for line in rest] == list(caught.value.faults)
    assert caught.value.exit_code == 78


ROOT = "expected a mapping of name, input, schema, prompt, model, output, call, check, run"
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
UNREADABLE = [
    ("", f"1: the file is empty, {ROOT}"),
    ("# nothing\n", f"1: the file is empty, {ROOT}"),
    ("- a\n", f"1: is a list, {ROOT}"),
    ("\nhello\n", f'2: is "hello", {ROOT}'),
    (
        "a: 1\n---\nb: 2\n",
        "2:1: cannot be read as YAML: expected a single document in the stream, but found another document",
    ),
    ("a: [1,\nb: 2", "2:5: cannot be read as YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
    (
        "a: b: c",
        "1:5: cannot be read as YAML: mapping values are not allowed here "
        "(a value that holds a colon and a space needs quotes)",
    ),
    (
        "a:\n\tb: 1",
        "2:1: cannot be read as YAML: while scanning for the next token, found character '\\t' that cannot start any token "
        "(indent with spaces, not tabs)",
    ),
    ("a: 1\nb: \x07", "2:4: cannot be read as YAML: a character that YAML does not allow"),
    ('a: 1\nb: "\\UFFFFFFFF"', "2:5: cannot be read as YAML: an escape for a character that does not exist"),
    ('a: 1\nb: "\\U00110000"', "2:5: cannot be read as YAML: an escape for a character that does not exist"),
    ("%YAML 1.1\n---\nname: no", "2:1: cannot be read as YAML: expected YAML 1.2, without another %YAML directive"),
    (BOMB, "1:20: cannot be read as YAML: more than 5,000 values, counting aliases as what they stand for"),
    (f"[{'1,' * 6000}]", "1:10000: cannot be read as YAML: more than 5,000 values, counting aliases as what they stand for"),
    (f"[{'1,' * 6000}", "1:10000: cannot be read as YAML: more than 5,000 values, counting aliases as what they stand for"),
    ("a: &a [*a]", "1:4: cannot be read as YAML: nested deeper than 32 levels"),
    ("[" * 5000, "1:33: cannot be read as YAML: nested deeper than 32 levels"),
    ("#" * 1_048_577, "1:1: cannot be read as YAML: too long: 1,048,577 characters, expected at most 1,048,576"),
]


@pytest.mark.parametrize(("text", "said"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_a_text_that_is_no_config_says_where_in_one_line(text: str, said: str) -> None:
    assert faults(text) == [f"job.yaml:{said}"]


def test_a_python_tag_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    text = GOOD + f"run: {{folder: !!python/object/apply:os.mkdir ['{tmp_path}/made']}}\n"
    (fault,) = faults(text)
    assert fault == (
        "job.yaml:11: run.folder: tag !!python/object/apply:os.mkdir is not read, expected a plain value without a tag"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_utf_8_cannot_carry_is_told_by_its_line() -> None:
    said = "a key holds a NUL or half a surrogate pair, expected text that UTF-8 can carry"
    assert faults(GOOD + '"a\\0": 1\n"\\udc00": 2\n') == [f"job.yaml:11: {said}", f"job.yaml:12: {said}"]


def test_what_only_yaml_1_1_converts_stays_text() -> None:
    job = parse(GOOD, "job.yaml", ["name=no", "input.columns=[12:30, 2026-11-23, on, <<, =]"])
    assert (job.name, job.input.columns) == ("no", ("12:30", "2026-11-23", "on", "<<", "="))


def test_an_alias_stands_for_its_value_and_an_anchor_may_be_used_again() -> None:
    text = GOOD.replace("path: a.csv", "path: &p a.csv\n  key: &p k\n  columns: [*p]")
    assert parse(text, "job.yaml").input == Input(path=("a.csv",), key="k", columns=("k",))


def test_an_override_replaces_a_wrong_value_and_the_last_one_wins() -> None:
    text = GOOD + "check: {asks: many}\nrun: {drain_s: 1, drain_s: 2}\nprompts: 1\n"
    (fault,) = faults(text, "check.asks=0", "check.asks=3", "run={folder: x}")
    assert fault == "job.yaml:13: prompts: no such key; did you mean prompt?"


def test_an_override_makes_sections_and_replaces_text_by_a_mapping() -> None:
    job = parse(GOOD, "job.yaml", ["check.asks=3", "prompt.user.file=u.j2"])
    assert (job.check.asks, job.prompt.user) == (3, (Question(file="u.j2"),))


def test_an_override_of_a_whole_section_answers_for_its_keys() -> None:
    assert faults(GOOD, "model={nam: x}") == [
        "--set model={nam: x}: model.name: missing, expected the id of a model, such as claude-haiku-5-5",
        "--set model={nam: x}: model.nam: no such key; did you mean model.name?",
    ]


NO_KEYS = "a config holds no keys; remove it and set ANTHROPIC_API_KEY in the environment"
HOLDS_A_KEY = [
    (GOOD + f"call: {{api_key: {KEY}}}\n", (), f"job.yaml:11: call.api_key: {NO_KEYS}"),
    (GOOD + "call:\n  Auth-Token: hunter2\n", (), f"job.yaml:12: call.Auth-Token: {NO_KEYS}"),
    (GOOD + "ANTHROPIC_API_KEY: hunter2\n", (), f"job.yaml:11: ANTHROPIC_API_KEY: {NO_KEYS}"),
    (GOOD + "extra: {headers: [{x-api-key: hunter2}]}\n", (), f"job.yaml:11: extra.headers[0].x-api-key: {NO_KEYS}"),
    (GOOD + f"check: # {KEY}\n", (), f"job.yaml:11: {NO_KEYS}"),
    (GOOD.replace('"{{ text }}"', f"use {KEY}!"), (), f"job.yaml:6: prompt.user: {NO_KEYS}"),
    (GOOD, (f"input.columns=[a, {KEY}]",), f"--set input.columns=[a, …]: input.columns[1]: {NO_KEYS}"),
    (GOOD, ("call.api_key=hunter2",), f"--set call.api_key=…: call.api_key: {NO_KEYS}"),
    (GOOD, ("call.base_url=https://me:hunter2@proxy",), "--set call.base_url=https://…@proxy: "),
    (GOOD, (KEY,), "--set …: expected dotted.key=value, such as model.max_tokens=2048"),
    (GOOD + f"{KEY}: 1\n", (), "job.yaml:11: …: no such key"),
    (GOOD + f"name: {KEY}\n", (), f"job.yaml:11: {NO_KEYS}"),
]


@pytest.mark.parametrize(("text", "overrides", "said"), HOLDS_A_KEY, ids=range(len(HOLDS_A_KEY)))
def test_a_config_that_holds_a_key_is_refused_without_repeating_it(text: str, overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        parse(text, "job.yaml", overrides)
    assert any(fault.startswith(said) for fault in caught.value.faults), caught.value.faults
    everything = f"{caught.value}{caught.value.faults}{caught.value.__cause__!r}{caught.value.__context__!r}"
    assert "CANARY" not in everything
    assert "hunter2" not in everything


def test_speaking_of_keys_is_no_secret() -> None:
    job = parse(GOOD, "job.yaml", ["prompt.system='mask sk-ant-… and //user:pass@host'"])
    assert job.prompt.system == "mask sk-ant-… and //user:pass@host"


def test_canonical_is_json_with_every_key() -> None:
    whole = canonical(JOB)
    assert json.loads(json.dumps(whole)) == whole
    assert set(whole) == {field.name for field in fields(Job)}
    assert whole["input"] == {
        "path": ["a.csv"],
        "key": None,
        "columns": None,
        "encoding": None,
        "delimiter": None,
        "types": None,
        "root": None,
        "allow_urls": False,
        "max_image_mb": 10.0,
        "max_row_mb": 30.0,
        "pages_per_request": None,
    }
    run = whole["run"]
    assert isinstance(run, dict)
    assert run["folder"] == "runs"
    assert run["drain_s"] == 120.0


def test_the_table_of_sections_is_whole() -> None:
    sections = {f.name for f in fields(Job) if is_dataclass(getattr(JOB, f.name))}
    assert sections == set(SECTIONS)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda text: "sk-ant-" not in text
)


@given(
    user=texts,
    columns=st.none() | st.lists(texts, unique=True, max_size=3),
    asks=st.integers(1, 9),
    drain_s=st.floats(0, 1e9),
    failed=st.integers(0, 10**9) | st.integers(0, 100).map("{}%".format),
)
def test_canonical_is_a_config_of_the_same_job(
    user: str, columns: list[str] | None, asks: int, drain_s: float, failed: int | str
) -> None:
    whole: dict[str, JSON] = {
        **canonical(JOB),
        "input": {"path": "a.csv", "columns": None if columns is None else [*columns]},
        "prompt": {"user": user},
        "check": {"asks": asks},
        "run": {"drain_s": drain_s, "max_failed": failed},
    }
    job = parse(json.dumps(whole), "job.json")
    assert (job.prompt.user, job.check.asks, job.run.drain_s, job.run.max_failed) == ((user,), asks, drain_s, failed)
    assert parse(json.dumps(canonical(job)), "job.json") == job


fragments = st.sampled_from([*"ab1-_.:?,[]{}&*#|>@`\"'%!~<= \n\t\\\r", "name", ": ", "\n- ", "{{ ", "\\U00", "0x"])
yaml_like = st.lists(fragments).map("".join)


@given(st.text() | yaml_like)
def test_any_text_is_a_job_or_a_config_fault(text: str) -> None:
    with pytest.raises(ConfigInvalid):
        parse(text, "job.yaml")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
dotted_keys = [(field.name,) for field in fields(Job)] + [(n, f.name) for n, s in SECTIONS.items() for f in fields(s)]


@given(st.sampled_from(dotted_keys), json_values)
def test_any_value_of_any_key_is_taken_or_told(key: tuple[str, ...], value: JSON) -> None:
    assert all(fault.isprintable() for fault in told(GOOD, f"{'.'.join(key)}={json.dumps(value)}"))


@given(st.text() | yaml_like | st.tuples(st.sampled_from(["name", "model.name", "a.b"]), yaml_like).map("=".join))
def test_any_override_is_taken_or_told(override: str) -> None:
    assert all(fault.isprintable() for fault in told(GOOD, override))


def test_a_fault_inside_a_mapping_names_its_entry() -> None:
    [fault] = faults(GOOD, "input.types.rating=integer")
    assert fault == (
        '--set input.types.rating=integer: input.types.rating: is "integer", '
        "expected one of text, int, float, bool, date, datetime, timestamp; did you mean int?"
    )
