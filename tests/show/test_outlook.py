from __future__ import annotations

from dataclasses import replace

from pipeline.show.outlook import Outlook, Range, outlook_text

OUTLOOK = Outlook(
    name="reviews",
    model="claude-haiku-5-5",
    where="https://api.anthropic.com",
    prices_as_of="2026-11-22",
    rows=120_000,
    unaskable=12,
    kept=20,
    paid=3,
    repeated=1_800,
    to_buy=118_165,
    requests=119_400.4,
    basis="20 rows of this job that were bought under the very same request.",
    assumes="The interval assumes that the rows to come are like those at the same length.",
    measured=True,
    constant_tokens=812,
    cache="812 tokens a request, written to the cache once for 5m, then read from it",
    row_tokens=Range(5_600_000.4, 5_750_000, 5_900_000),
    output_tokens=Range(2_400_000, 2_500_000, 2_600_000),
    online_usd=Range(2.71, 2.794, 2.88),
    batch_usd=Range(0.00046, 0.912_34, 1.9),
    worst_usd=98.456,
    worst_request_usd=0.000_83,
    budget_usd=5.0,
    gone_usd=0.0123,
    seconds={"in tier Start": 7164.0, "in tier Build": 1432.8},
    mode="online, by call.mode",
    batch_seconds={"mostly": 3600.0, "at most": 86_400.0},
    at_once=32,
    latency_s=1.84,
    latency_measured=True,
    next_step="pipeline run reviews.yaml",
)


def test_the_whole_plan_at_80_columns() -> None:
    text = outlook_text(OUTLOOK)
    assert max(map(len, text.splitlines())) <= 80
    assert (
        text
        == """\
reviews: claude-haiku-5-5 at https://api.anthropic.com

rows          120,000 in the input
                   20 have their outcome already
                    3 are answered by a reply that is paid for
                1,800 ask the same as another row, and cost nothing
                   12 make no prompt (input_error), and cost nothing
to buy        118,165 rows, in about 119,400 requests

tokens           estimate   95 % interval
  in            5,750,000   5,600,000 to 5,900,000
  out           2,500,000   2,400,000 to 2,600,000
  constant 812 tokens a request, written to the cache once for 5m, then read
           from it

dollars          estimate   95 % interval
  online            $2.79   $2.71 to $2.88
  batch           $0.9123   $0.00046 to $1.90
  at worst $98.46, each row asked once at its longest; one request at most
           $0.00083
  budget   $5.00 by run.budget_usd, of which $0.01 is gone
           prices of 2026-11-22

time
  online   at least 1 h 59 min in tier Start, 23 min 53 s in tier Build; 32 at
           once, 1.8 s a reply (as measured)
  batch    mostly 1 h 00 min, at most 1 d 0 h
mode       online, by call.mode

basis      20 rows of this job that were bought under the very same request.
           The interval assumes that the rows to come are like those at the same
           length.

next       pipeline run reviews.yaml"""
    )


def test_without_a_price_there_are_no_dollars_and_without_rows_nothing_is_estimated() -> None:
    unpriced = replace(OUTLOOK, online_usd=None, batch_usd=None, worst_usd=None, worst_request_usd=None, measured=False)
    text = outlook_text(unpriced)
    assert "dollars    not known: the model has no price" in text
    assert "assumed range" in text
    nothing = outlook_text(replace(OUTLOOK, to_buy=0, requests=0.0))
    assert "to buy              0 rows: a run sends nothing" in nothing
    assert "dollars" not in nothing


def test_names_from_the_config_cannot_act_on_a_terminal() -> None:
    assert "\x1b" not in outlook_text(replace(OUTLOOK, model="m\x1b[2J", next_step="run \x1b"))
