"""Texts longer than a request holds, as a user meets them: whole jobs against an API on loopback that keeps a ledger."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.call.batch import GIVEN
from pipeline.check.combine import RULES
from pipeline.render.combine import BUILT_IN
from pipeline.settings import AS_IT_IS, Long
from tests.api import Api, Asked, Canned, error, message, serving
from tests.batches import batching, hurry
from tests.jobs import JobFolder, answer

REDUCERS = {"label": "majority", "length": "max"}
SPLIT: dict[str, Any] = {"do": "split", "tokens": 400, "overlap": 20, "combine": REDUCERS}
"""Pieces of 800 characters."""


def sentence(number: int) -> str:
    return f"Sentence {number} of this text says {'good' if number % 3 else 'bad'} things. "


def text(sentences: int, start: int = 0) -> str:
    return "".join(sentence(number) for number in range(start, start + sentences))


LONG = text(80)
SHORT = "a good and short one"


def right(asked: Asked) -> Canned:
    return message(answer(asked.text))


@pytest.fixture
def api() -> Iterator[Api]:
    with serving(right) as made:
        yield made


def job(folder: Path, texts: list[str], url: str, long: Mapping[str, Any] | str = SPLIT, **changes: Any) -> JobFolder:
    return JobFolder(folder / "job", texts, url, prompt={"user": "{{ text }}", "long": long}, **changes)


def combines(asked: Asked) -> bool:
    return str(asked.body["system"][0]["text"]).endswith(BUILT_IN)


def shown(asked: Asked) -> list[dict[str, Any]]:
    """What a combining request holds."""
    found = re.fullmatch(r"<(document-\w+)>\n(.*)\n</\1>", asked.text, re.DOTALL)
    assert found is not None
    return [json.loads(line) for line in found[2].splitlines()]


def paid_once(api: Api) -> None:
    assert max(Counter(api.texts()).values()) == 1


def test_a_long_text_is_asked_about_in_pieces_and_their_answers_become_one(tmp_path: Path, api: Api) -> None:
    split = job(tmp_path, [SHORT, LONG], api.url)
    ended = split.run()
    assert ended.code == 0, ended.err
    short, long = split.rows()
    asked = [one for one in api.texts() if one != SHORT]
    assert len(asked) == long["_pieces"] == 5
    assert all(len(one) <= 800 for one in asked)
    assert set(re.findall(r"Sentence \d+ ", "".join(asked))) == set(re.findall(r"Sentence \d+ ", LONG))
    assert (long["label"], long["length"], long["_status"]) == ("yes", max(map(len, asked)), "ok")
    assert (long["_asks"], long["_attempts"], long["_input_tokens"], long["_output_tokens"]) == (5, 5, 50, 25)
    assert long["_cost_usd"] == pytest.approx(5 * short["_cost_usd"])
    assert (short["_pieces"], short["_asks"], short["length"]) == (1, 1, len(SHORT))
    assert split.run().summary["requests"] == 0


def test_one_more_question_combines_where_no_reducers_are_named(tmp_path: Path) -> None:
    def script(asked: Asked) -> Canned:
        return message('{"label": "no", "length": 7}') if combines(asked) else right(asked)

    with serving(script) as api:
        split = job(tmp_path, [LONG], api.url, {**SPLIT, "combine": "prompt"})
        ended = split.run()
        assert ended.code == 0, ended.err
        *pieces, last = api.asked
        (row,) = split.rows()
    assert not any(map(combines, pieces))
    assert [line["piece"] for line in shown(last)] == [1, 2, 3, 4, 5]
    by_text = {one.text: json.loads(answer(one.text)) for one in pieces}
    assert len(by_text) == 5
    assert [line["answer"] for line in shown(last)] == [by_text[one] for one in sorted(by_text, key=LONG.index)]
    same = {key: value for key, value in pieces[0].body.items() if key not in ("messages", "system")}
    assert {key: value for key, value in last.body.items() if key not in ("messages", "system")} == same
    assert last.body["system"][0]["text"].startswith(pieces[0].body["system"][0]["text"])
    assert (row["label"], row["length"], row["_pieces"], row["_asks"], row["_input_tokens"]) == ("no", 7, 5, 6, 60)


def test_a_combined_answer_that_is_none_is_asked_again(tmp_path: Path) -> None:
    def script(asked: Asked) -> Canned:
        if combines(asked) and len(asked.body["messages"]) == 1:
            return message('{"label": "perhaps"}')
        return message(answer("good")) if combines(asked) else right(asked)

    with serving(script) as api:
        split = job(tmp_path, [LONG], api.url, {**SPLIT, "combine": "prompt"})
        assert split.run().code == 0
    (row,) = split.rows()
    assert (row["_status"], row["_asks"], row["_pieces"]) == ("ok", 7, 5)


def test_instructions_of_ones_own(tmp_path: Path, api: Api) -> None:
    told = {"instructions": "Take the worst. {{ schema }}", "combine": "prompt"}
    assert job(tmp_path, [LONG], api.url, {**SPLIT, **told}).run().code == 0
    system = api.asked[-1].body["system"][0]["text"]
    assert 'Take the worst. {\n  "type": "object"' in system


def test_a_piece_without_an_answer_leaves_the_row_without_and_only_it_is_asked_again(tmp_path: Path) -> None:
    refusing = True

    def script(asked: Asked) -> Canned:
        return message("", content=[], stop_reason="refusal") if refusing and sentence(40) in asked.text else right(asked)

    with serving(script) as api:
        split = job(tmp_path, [text(160)], api.url, call={"concurrency": 1})
        assert split.run().code == 1
        (row,) = split.rows()
        pieces = row["_pieces"]
        assert (row["_status"], row["label"]) == ("refused", None)
        assert re.match(rf"piece \d of {pieces}: refused by the model", row["_error"])
        assert row["_asks"] == len(api.asked) < pieces
        assert row["_error"].endswith(f"; {pieces - len(api.asked)} further pieces were not asked")
        before = len(api.asked)
        assert split.run().summary["requests"] == 0
        refusing = False
        again = split.run("--retry", "refused")
        assert (again.code, again.summary["requests"]) == (0, pieces - before + 1)
    (row,) = split.rows()
    assert (row["_status"], row["label"], row["_asks"]) == ("ok", "yes", pieces)


def test_a_piece_in_doubt_is_asked_again_by_the_next_run_which_counts_what_it_buys(tmp_path: Path) -> None:
    lost = True

    def script(asked: Asked) -> Canned:
        return replace(right(asked), cut=0) if lost and sentence(40) in asked.text else right(asked)

    with serving(script) as api:
        split = job(tmp_path, [LONG], api.url, call={"attempts": 1})
        first = split.run()
        assert (first.code, first.summary["in_doubt"]) == (1, 1)
        lost = False
        again = split.run()
    assert (again.code, again.summary["requests"], again.summary["possible_double_charges"]) == (0, 1, 1)
    (row,) = split.rows()
    assert again.summary["cost_usd"] == pytest.approx(row["_cost_usd"] / row["_pieces"])


def test_what_is_short_or_known_is_not_paid_again(tmp_path: Path, api: Api) -> None:
    whole = job(tmp_path, [SHORT, text(9)], api.url, "fail")
    assert whole.run().summary["requests"] == 2
    assert not {"_pieces", "_left_out"} & {*whole.table().schema.names}
    whole.configure(prompt={"user": "{{ text }}", "long": SPLIT})
    assert whole.run().summary["requests"] == 0, "no row is long"
    whole.input([SHORT, text(9), LONG])
    assert whole.run().summary["requests"] == 5
    whole.input([LONG + text(40, 80), LONG])
    ended = whole.run()
    assert ended.code == 0
    first, second = whole.rows()
    assert ended.summary["requests"] == first["_pieces"] - 3, "all but the last two of the shorter text are known"
    assert second["_pieces"] == 5
    paid_once(api)


def test_other_rules_combine_what_is_stored_and_other_pieces_are_refused(tmp_path: Path, api: Api) -> None:
    split = job(tmp_path, [LONG], api.url)
    assert split.run().code == 0
    longest = split.rows()[0]["length"]
    split.configure(prompt={"long": {**SPLIT, "combine": {"label": "first", "length": "min"}}})
    assert split.run().summary["requests"] == 0
    assert split.rows()[0]["length"] < longest
    split.configure(prompt={"long": {**SPLIT, "combine": "prompt"}})
    refused = split.run()
    assert refused.code == 78
    assert "to buy their answers again takes 1 request" in refused.err
    split.configure(prompt={"long": {**SPLIT, "tokens": 700}})
    refused = split.run()
    assert refused.code == 78
    assert "prompt.long" in refused.err
    assert len(api.asked) == 5
    assert split.run("--accept-change").summary["requests"] == split.rows()[0]["_pieces"]


def test_pieces_that_are_alike_are_paid_once_and_counted_once(tmp_path: Path, api: Api) -> None:
    split = job(tmp_path, ["The same good words. " * 400], api.url)
    first = split.run()
    (row,) = split.rows()
    assert first.summary["requests"] == len(api.asked) < row["_pieces"]
    assert row["_input_tokens"] == 10 * len(api.asked)
    split.configure(prompt={"long": {**SPLIT, "combine": {"label": "first", "length": "min"}}})
    assert split.run().summary["requests"] == 0
    assert split.rows()[0]["_input_tokens"] == 10 * len(api.asked)


def test_a_run_killed_amid_a_text_of_400_pages_pays_for_each_piece_once(tmp_path: Path) -> None:
    """But for those that were out at that moment."""
    api: Api
    reached, held = threading.Event(), threading.Event()
    out: list[str] = []

    def script(asked: Asked) -> Canned:
        if not held.is_set() and len(api.asked) > 20:
            out.append(asked.text)
            if len(out) == 4:
                reached.set()
            held.wait(60)
        return right(asked)

    with serving(script) as made:
        api = made
        split = job(
            tmp_path, [text(22_000)], api.url, {**SPLIT, "tokens": 10_000, "combine": "prompt"}, call={"concurrency": 4}
        )
        running = split.start("run")
        assert reached.wait(60)
        running.send_signal(signal.SIGKILL)
        running.communicate()
        held.set()
        assert not (split.path / "out" / "out.parquet").exists()
        ended = split.run()
        assert ended.code == 0, ended.err
    asked = Counter(one.text for one in api.asked if not combines(one))
    (row,) = split.rows()
    assert len(asked) == row["_pieces"] > 40
    assert {one for one, number in asked.items() if number > 1} == set(out)
    assert sum(asked.values()) == row["_pieces"] + len(out)
    assert ended.summary["possible_double_charges"] == len(out)
    assert sum(map(combines, api.asked)) == 1


def test_pieces_go_in_batches_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    with batching(right) as api:
        split = job(tmp_path, [SHORT, LONG], api.url, {**SPLIT, "combine": "prompt"}, call={"mode": "batch"})
        ended = split.run()
        assert ended.code == 0, ended.err
        asked = Counter([*api.in_batches(), *api.texts()])
    assert max(asked.values()) == 1
    assert [made.requests[0]["custom_id"][:3] for made in api.made] == ["r1-", "r1-"], "all pieces, then what combines them"
    assert [len(made.requests) for made in api.made] == [5, 1]
    assert (split.rows()[1]["_status"], split.rows()[1]["_pieces"], split.rows()[1]["_asks"]) == ("ok", 5, 6)


def test_in_batches_a_row_without_an_answer_shows_all_that_it_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)

    def script(asked: Asked) -> Canned:
        return message("", content=[], stop_reason="refusal") if sentence(20) in asked.text else right(asked)

    with batching(script) as api:
        split = job(tmp_path, [SHORT, LONG], api.url, call={"mode": "batch"})
        assert split.run().code == 1
        row = split.rows()[1]
        assert re.match(r"piece \d of 5: refused by the model", row["_error"])
        assert "not asked" not in row["_error"]
        assert (row["_status"], row["_asks"], row["_attempts"], row["_input_tokens"]) == ("refused", 5, 5, 50)
        assert split.run().summary["requests"] == 0
        again = split.run("--retry", "refused")
        assert again.summary["requests"] == Counter(row["_status"] for row in split.rows())["refused"] == 1


def test_the_pieces_of_one_text_that_fail_alike_in_a_batch_are_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    with batching(right) as api:
        split = job(tmp_path, [SHORT, text(400)], api.url, call={"mode": "batch"})
        api.fate = lambda asked, _: "errored" if asked.text != SHORT else "succeeded"
        ended = split.run()
        assert ended.code == 1, ended.err
        short, long = split.rows()
    assert (short["_status"], long["_status"]) == ("ok", "request_error")
    assert long["_pieces"] > 20, "as many rows would have stopped the run"


def test_what_a_batch_did_not_come_to_is_not_sent_again_for_a_row_that_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    with batching(right) as api:
        split = job(tmp_path, [SHORT, text(5_000)], api.url, call={"mode": "batch"})
        first, last = sentence(0), sentence(4_999)
        api.fate = lambda asked, times: (
            "errored" if first in asked.text else "expired" if last in asked.text and times == 1 else "succeeded"
        )
        ended = split.run()
        assert ended.code == 1, ended.err
        assert split.rows()[1]["_pieces"] > GIVEN, "that many are drawn before any of them is judged"
        assert next(times for asked, times in api.enclosed.items() if last in asked) == 1


def test_a_row_that_is_lost_waits_for_its_pieces_that_are_out_and_counts_them(tmp_path: Path) -> None:
    with batching(right) as api:
        split = job(tmp_path, [SHORT, text(5_000)], api.url, call={"mode": "batch", "batch_size": GIVEN + 20})
        api.fate = lambda asked, _: "errored" if sentence(0) in asked.text else "succeeded"
        assert split.do("run", "--detach", "--json").code == 75
        api.made[1].looked = -1  # it takes longer than the other
        ended = split.do("run", "--detach", "--json")
        assert (ended.code, json.loads(ended.out)["request_error"]) == (75, 0)
        assert split.run().code == 1
    row = split.rows()[1]
    assert (row["_status"], row["_asks"]) == ("request_error", row["_pieces"])


def test_a_text_is_cut_to_its_beginning_and_the_row_says_so(tmp_path: Path, api: Api) -> None:
    cut = job(tmp_path, [SHORT, LONG], api.url, {"do": "truncate", "tokens": 400})
    assert cut.run().code == 0
    short, long = cut.rows()
    (asked,) = (one for one in api.texts() if one != SHORT)
    assert asked == LONG[: len(asked)]
    assert asked.endswith("things. ")
    assert 700 < len(asked) <= 800
    assert (long["_left_out"], short["_left_out"]) == (len(LONG) - len(asked), 0)
    assert (long["_status"], long["_repairs"]) == ("ok", [])
    cut.input([SHORT, LONG + sentence(80)])
    again = cut.run()
    assert (again.code, again.summary["requests"]) == (0, 0)
    assert cut.rows()[1]["_left_out"] == long["_left_out"] + len(sentence(80))


def test_what_surely_does_not_fit_is_not_sent_and_what_the_api_refuses_is_told_the_same_mend(tmp_path: Path) -> None:
    def script(asked: Asked) -> Canned:
        said = "prompt is too long: 210000 tokens > 200000 maximum"
        return error(400, "invalid_request_error", said) if len(asked.text) > 1000 else right(asked)

    with serving(script) as api:
        texts = [SHORT, "word " * 330_000, "word " * 300]
        whole = job(tmp_path, texts, api.url, "fail", model={"name": "claude-haiku-4-5"})
        assert whole.run().code == 1
        assert len(api.asked) == 2
    _, surely, perhaps = whole.rows()
    assert (surely["_status"], surely["_asks"]) == ("input_error", 0)
    assert surely["_error"].startswith(
        "the text has at least 206,250 tokens, and the model reads 200,000 at once: prompt.long: split"
    )
    assert perhaps["_status"] == "request_error"
    assert "prompt.long: split" in perhaps["_error"]


def test_check_and_plan_tell_of_pieces(tmp_path: Path, api: Api) -> None:
    split = job(tmp_path, [SHORT, LONG], api.url)
    told = split.do("check").out
    assert f"row r1 is long: the {len(LONG):,} characters of text go in 5 pieces" in told
    assert re.search(r"\n      1        3\d\d tokens  Sentence 0 of this text says bad things", told)
    assert "the answers to its pieces become one by label: majority, length: max" in told
    planned = json.loads(split.do("plan", "--json").out)
    assert (planned["to_buy"], planned["requests"], planned["split"], planned["pieces"]) == (2, 6, 1, 5)
    assert split.run().code == 0
    assert json.loads(split.do("plan", "--json").out)["kept"] == 2
    cut = split.do("check", "--set", "prompt.long={do: truncate, tokens: 400}").out
    assert "row r1 is long: 2," in cut
    assert "no row of the first 1 is long" in job(tmp_path / "short", [SHORT], api.url).do("check").out


def test_plan_names_the_price_step_and_what_pieces_below_it_would_save(tmp_path: Path, api: Api) -> None:
    whole = job(tmp_path, [text(12_000), SHORT], api.url, "fail")
    told = json.loads(whole.do("plan", "--json", "--sample", "0").out)["step"]
    found = re.search(
        r"1 request is longer than 100,000 tokens, where claude-haiku-5-5 costs 5 times as much: \$([\d.]+)", told
    )
    assert found is not None, told
    advised = re.search(
        r"prompt.long: (\{do: split, tokens: \d+\}) would make about 3 pieces of them, for about \$([\d.]+)", told
    )
    assert advised is not None, told
    assert float(advised[2]) < float(found[1]) / 4
    split = json.loads(whole.do("plan", "--json", "--sample", "0", "--set", f"prompt.long={advised[1]}").out)
    assert split["step"] is None
    assert split["pieces"] == 3


def test_one_row_is_tried_in_pieces(tmp_path: Path, api: Api) -> None:
    split = job(tmp_path, [SHORT, LONG], api.url)
    tried = split.do("try", "--row", "r1", "--json")
    assert tried.code == 0, tried.err
    assert json.loads(tried.out)["asks"] == 5
    assert tried.err.startswith("pipeline: its text goes in 5 pieces")
    assert '"label"' not in tried.err, "replies that come all at once are not shown as they come"
    assert split.run().summary["requests"] == 1, "the run takes what the trial has paid"


REFUSED = {
    "a conversation": ({"user": ["{{ text }}", "And?"], "long": SPLIT}, "prompt.long: split is for a prompt of one turn"),
    "documents": ({"documents": ["id"], "long": {"do": "truncate"}}, "prompt.long: truncate cannot be with documents"),
    "images": ({"images": ["id"], "long": SPLIT}, "prompt.long: split is for texts"),
    "no such column": ({"long": {**SPLIT, "column": "txt"}}, "prompt.long.column: txt is none that prompt.user takes"),
    "a rule that does not fit": (
        {"long": {**SPLIT, "combine": {"label": "max", "length": "max"}}},
        "prompt.long.combine.label: max is for numbers, and its values are of type string; it takes majority, first",
    ),
    "no rule": ({"long": {**SPLIT, "combine": {"label": "majority"}}}, "prompt.long.combine.length: no rule says how"),
    "no rule of that name": ({"long": {**SPLIT, "combine": {"label": "most"}}}, "prompt.long.combine: is"),
    "no such property": ({"long": {**SPLIT, "combine": {**REDUCERS, "x": "max"}}}, "prompt.long.combine.x: the answer has no"),
    "too much overlap": ({"long": {**SPLIT, "overlap": 200}}, "prompt.long.overlap: 200 tokens are half a piece of 400"),
    "words for rules": ({"long": {**SPLIT, "instructions": "x"}}, "prompt.long.instructions: has no use where"),
    "rules for a cut": ({"long": {"do": "truncate", "combine": REDUCERS}}, "prompt.long.combine: has no use with do: truncate"),
    "a column of nothing": ({"long": {"do": "fail", "column": "text"}}, "prompt.long.column: has no use with do: fail"),
    "another word": ({"long": "splt"}, 'prompt.long: is "splt", expected fail, truncate or split'),
    "another key": ({"long": {**SPLIT, "token": 3}}, "prompt.long.token: no such key"),
    "a strange name": ({"long": {**SPLIT, "combine": "prompt", "instructions": "{{ text }}"}}, "'text' is not available there"),
    "nothing": ({"long": {**SPLIT, "combine": "prompt", "instructions": " {# #} "}}, "prompt.long.instructions is empty"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_before_anything_is_sent(tmp_path: Path, name: str) -> None:
    changes, said = REFUSED[name]
    wrong = JobFolder(tmp_path / "job", [SHORT], "http://127.0.0.1:9", prompt=changes)
    ended = wrong.do("check")
    assert ended.code == 78
    assert said in ended.err


def test_the_page_about_long_texts_names_every_key_and_every_rule() -> None:
    page = (Path(__file__).parents[1] / "docs" / "long-texts.md").read_text("utf-8")
    block = page.partition("```yaml\n")[2].partition("```")[0]
    values = YAML(typ="safe").load(block)["prompt"]["long"]
    assert list(values) == [field.name for field in fields(Long)]
    assert {**values, "do": "fail", "tokens": None} == {field.name: getattr(AS_IT_IS, field.name) for field in fields(Long)}
    told = page.partition("| reducer |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", told)) == set(RULES)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"name": "llama"}}, "prompt.long.tokens: it is not known how many tokens llama reads at once"),
        (
            {"model": {"max_tokens": 64_000, "name": "claude-haiku-4-5"}, "check": {"asks": 4}},
            "which leaves no room for a text",
        ),
        ({"check": {"asks": 100}}, "check.asks: with prompt.long: split at most 99"),
    ],
)
def test_a_model_that_leaves_no_room_is_refused(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    ended = job(tmp_path, [SHORT], "http://127.0.0.1:9", "split", **changes).do("check")
    assert ended.code == 78
    assert said in ended.err


def test_a_journal_that_knows_nothing_of_pieces_goes_on(tmp_path: Path, api: Api) -> None:
    split = job(tmp_path, [SHORT, LONG], api.url, "fail")
    assert split.run().code == 0
    with sqlite3.connect(split.path / "runs" / "job" / "journal.db") as journal:
        journal.execute("DROP TABLE long")
    split.configure(prompt={"long": SPLIT})
    refused = split.run()
    assert refused.code == 78
    assert "to buy their answers again takes 6 requests" in refused.err, "the pieces, and what names them all"
    assert split.run("--accept-change").summary["requests"] == 5
    assert [row["_pieces"] for row in split.rows()] == [1, 5]
