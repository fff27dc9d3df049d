"""Message Batches through the real SDK: states, results in any order, and what the server says of it all."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import pytest

from pipeline.local import batches
from pipeline.local.batch import Batch
from tests.local.batching import Params, Starts, ended, params, results, some
from tests.local.running import stats


def test_a_batch_from_its_creation_to_its_deletion(serving_batches: Starts) -> None:
    server = serving_batches()

    async def asked() -> None:
        async with server.client() as client:
            made = await client.messages.batches.create(requests=some(50))
            assert (made.processing_status, made.request_counts.processing, made.results_url) == ("in_progress", 50, None)
            assert (made.expires_at - made.created_at).total_seconds() == 24 * 3600
            batch = await ended(client, made.id)
            counts = batch.request_counts
            assert (counts.processing, counts.succeeded, counts.errored) == (0, 50, 0)
            assert batch.results_url == f"{server.url}/v1/messages/batches/{made.id}/results"
            assert batch.created_at <= batch.ended_at
            found = await results(client, made.id)
            ids = [each.custom_id for each in found]
            assert sorted(ids) == sorted(f"r{number}" for number in range(50))
            assert ids != [f"r{number}" for number in range(50)]
            for each in found:
                assert each.result.message.usage.service_tier == "batch"
                assert json.loads(each.result.message.content[0].text)["label"] in ("a", "b")
            assert (await client.messages.batches.delete(made.id)).type == "message_batch_deleted"
            with pytest.raises(anthropic.NotFoundError):
                await client.messages.batches.retrieve(made.id)

    asyncio.run(asked())
    told = server.batches()
    assert (told["created"], told["requests"], told["ended"], told["deleted"]) == (1, 50, 1, 1)
    assert told["results"] == {"read": 1, "broken_off": 0, "lines": 50}
    assert told["submitted_again"] == {"custom_ids": 0, "bodies": 0}
    assert told["by_result"] == {"succeeded": 50}


def test_half_the_price_and_no_part_of_the_rate_limits(serving_batches: Starts) -> None:
    server = serving_batches()

    async def asked() -> None:
        async with server.client() as client:
            await ended(client, (await client.messages.batches.create(requests=some(20))).id)

    asyncio.run(asked())
    batched = stats(server.url)["billed"]["usd"]

    async def asked_online() -> None:
        async with server.client() as client:
            for each in some(20):
                await client.messages.create(**each["params"])

    asyncio.run(asked_online())
    told = stats(server.url)
    assert batched > 0
    assert told["billed"]["usd"] - batched == pytest.approx(2 * batched)
    assert told["duplicates"]["replies"] == 20


def test_the_answers_are_those_of_the_same_requests_online(serving_batches: Starts) -> None:
    server = serving_batches()

    async def asked() -> None:
        async with server.client() as client:
            made = await client.messages.batches.create(requests=some(20))
            await ended(client, made.id)
            batched = {each.custom_id: each.result.message.content for each in await results(client, made.id)}
            for each in some(20):
                assert (await client.messages.create(**each["params"])).content == batched[each["custom_id"]]

    asyncio.run(asked())


def test_counts_are_of_the_end(serving_batches: Starts) -> None:
    """Half of the requests are done at half time; only the end tells."""
    server = serving_batches(batch_time_s=0.4)

    async def asked() -> None:
        async with server.client() as client:
            made = await client.messages.batches.create(requests=some(4))
            seen = set()
            for _ in range(5_000):
                batch = await client.messages.batches.retrieve(made.id)
                seen.add((batch.processing_status, batch.request_counts.processing, batch.request_counts.succeeded))
                if batch.ended_at:
                    break
            assert seen == {("in_progress", 4, 0), ("ended", 0, 4)}

    asyncio.run(asked())


def test_a_cancel_keeps_what_is_done(serving_batches: Starts) -> None:
    server = serving_batches(batch_time_s=1_000)

    async def asked() -> None:
        async with server.client() as client:
            made = await client.messages.batches.create(requests=some(5_000))
            with pytest.raises(anthropic.BadRequestError, match="cancel it first"):
                await client.messages.batches.delete(made.id)
            with pytest.raises(anthropic.AnthropicError, match="No `results_url`"):
                await client.messages.batches.results(made.id)
            with pytest.raises(anthropic.NotFoundError, match="no results yet"):
                await client.get(f"/v1/messages/batches/{made.id}/results", cast_to=object)
            canceling = await client.messages.batches.cancel(made.id)
            assert (canceling.processing_status, canceling.request_counts.canceled) == ("canceling", 0)
            assert canceling.cancel_initiated_at is not None
            again = await client.messages.batches.cancel(made.id)
            assert again.cancel_initiated_at == canceling.cancel_initiated_at
            counts = (await ended(client, made.id)).request_counts
            assert counts.succeeded + counts.canceled == 5_000
            assert counts.canceled > 4_000
            found = [each.result.type for each in await results(client, made.id)]
            assert (found.count("canceled"), found.count("succeeded")) == (counts.canceled, counts.succeeded)
            with pytest.raises(anthropic.BadRequestError, match="has ended"):
                await client.messages.batches.cancel(made.id)

    asyncio.run(asked())
    told = stats(server.url)
    assert told["batches"]["canceled"] == 1
    assert told["billed"]["requests"] == told["batches"]["by_result"].get("succeeded", 0)


def test_the_list_is_newest_first_and_in_pages(serving_batches: Starts) -> None:
    server = serving_batches()

    async def asked() -> None:
        async with server.client() as client:
            made = [(await client.messages.batches.create(requests=some(1, f"b{number}-"))).id for number in range(5)]
            newest_first = made[::-1]
            page = await client.messages.batches.list(limit=2)
            assert ([each.id for each in page.data], page.has_more) == (newest_first[:2], True)
            assert (page.first_id, page.last_id) == (newest_first[0], newest_first[1])
            before = await client.messages.batches.list(limit=2, before_id=newest_first[3])
            assert ([each.id for each in before.data], before.has_more) == (newest_first[1:3], True)
            assert [each.id async for each in client.messages.batches.list(limit=2)] == newest_first
            last = await client.messages.batches.list(limit=2, after_id=newest_first[3])
            assert ([each.id for each in last.data], last.has_more) == (newest_first[4:], False)
            with pytest.raises(anthropic.BadRequestError, match="no batch has the id 'msgbatch_no'"):
                await client.messages.batches.list(after_id="msgbatch_no")

    asyncio.run(asked())


WRONG: dict[str, tuple[Params, str, str]] = {
    "stream": ({"stream": True}, "invalid_request_error", "stream is not supported in a Message Batch"),
    "nothing": ({"max_tokens": 0, "output_config": None}, "invalid_request_error", "max_tokens: 0"),
    "fast": ({"speed": "fast"}, "invalid_request_error", "speed is not supported"),
    "store": ({"store": True}, "invalid_request_error", "store: Extra inputs are not permitted"),
    "warm": ({"temperature": 1.0}, "invalid_request_error", "temperature: Extra inputs are not permitted"),
    "model": ({"model": "claude-sonnet-9"}, "not_found_error", "model: claude-sonnet-9"),
    "tokens": ({"max_tokens": 200_000}, "invalid_request_error", "which is the maximum allowed"),
    "thinks": (
        {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 4000},
        "invalid_request_error",
        "thinking.type",
    ),
    "schema": (
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        "invalid_request_error",
        "output_config.format.schema",
    ),
    "number": ({"max_tokens": 10**30}, "invalid_request_error", "max_tokens"),
}


def test_parameters_are_judged_one_by_one_and_only_once_it_is_worked_on(serving_batches: Starts) -> None:
    server = serving_batches()
    requests: list[Any] = [{"custom_id": name, "params": params("x", **change)} for name, (change, *_) in WRONG.items()]

    async def asked() -> None:
        async with server.client() as client:
            made = await client.messages.batches.create(requests=[*requests, *some(1, "right")])
            counts = (await ended(client, made.id)).request_counts
            assert (counts.succeeded, counts.errored) == (1, len(WRONG))
            for each in await results(client, made.id):
                if each.custom_id == "right0":
                    assert each.result.type == "succeeded"
                    continue
                _, kind, said = WRONG[each.custom_id]
                assert each.result.error.error.type == kind
                assert said in each.result.error.error.message
                assert each.result.error.request_id.startswith("req_")

    asyncio.run(asked())
    assert stats(server.url)["billed"]["requests"] == 1


def test_what_is_submitted_again_is_counted(serving_batches: Starts) -> None:
    server = serving_batches()
    same_id: list[Any] = [{"custom_id": "r3", "params": params("another")}]

    async def asked() -> None:
        async with server.client() as client:
            await client.messages.batches.create(requests=some(10))
            await client.messages.batches.create(requests=same_id)
            await client.messages.batches.create(requests=some(2, "other"))

    asyncio.run(asked())
    assert server.batches()["submitted_again"] == {"custom_ids": 1, "bodies": 2}


def test_a_reset_forgets_the_batches(serving_batches: Starts) -> None:
    server = serving_batches(batch_time_s=1_000)

    async def asked() -> None:
        async with server.client() as client:
            made = await client.messages.batches.create(requests=some(3))
            await client.post("/reset", cast_to=object)
            with pytest.raises(anthropic.NotFoundError, match=made.id):
                await client.messages.batches.retrieve(made.id)
            assert (await client.messages.batches.list()).data == []

    asyncio.run(asked())
    assert server.batches()["created"] == 0


def test_a_body_beyond_256_mb_is_413(serving_batches: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    assert batches.MAX_BODY_BYTES == 256 * 1024 * 1024
    monkeypatch.setattr(batches, "MAX_BODY_BYTES", 100_000)
    server = serving_batches()

    async def asked() -> None:
        async with server.client() as client:
            with pytest.raises(anthropic.RequestTooLargeError):
                await client.messages.batches.create(requests=some(1_000))
            assert (await client.messages.batches.list()).data == []

    asyncio.run(asked())
    assert server.batches()["by_call"] == {"batches.create 413": 1, "batches.list 200": 1}


def test_a_body_that_is_no_batch_is_400_and_makes_none(serving_batches: Starts) -> None:
    server = serving_batches()

    async def asked() -> None:
        async with server.client() as client:
            with pytest.raises(anthropic.BadRequestError, match=r"requests\.1\.custom_id"):
                await client.messages.batches.create(requests=[*some(1), *some(1)])
            with pytest.raises(anthropic.BadRequestError, match="anthropic-version"):
                await client.messages.batches.create(requests=some(1), extra_headers={"anthropic-version": "2020-01-01"})

    asyncio.run(asked())
    assert server.batches()["created"] == 0


def test_requests_are_judged_by_the_version_under_which_the_batch_was_made(serving_batches: Starts) -> None:
    server = serving_batches()
    old: list[Any] = [{"custom_id": "old", "params": params("x", model="claude-sonnet-4-6", temperature=0.0)}]

    async def asked() -> None:
        async with server.client() as client:
            made = await client.messages.batches.create(requests=old, extra_headers={"anthropic-version": "2023-06-01"})
            assert (await ended(client, made.id)).request_counts.succeeded == 1

    asyncio.run(asked())


def test_a_batch_that_the_server_fails_at_does_not_look_slow(serving_batches: Starts, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Batch, "put", full)
    server = serving_batches()

    async def asked() -> None:
        async with server.client() as client:
            made = await client.messages.batches.create(requests=some(1))
            with pytest.raises(anthropic.InternalServerError):
                await ended(client, made.id)

    asyncio.run(asked())


def test_other_requests_are_answered_while_a_batch_is_worked_on(serving_batches: Starts) -> None:
    server = serving_batches()

    async def asked() -> None:
        async with server.client() as client:
            made = await client.messages.batches.create(requests=some(2_000))
            await client.messages.create(**params("in between"))
            assert (await client.messages.batches.retrieve(made.id)).processing_status == "in_progress"
            await client.messages.batches.cancel(made.id)

    asyncio.run(asked())


def test_every_model_says_that_it_takes_batches(serving_batches: Starts) -> None:
    server = serving_batches()

    async def asked() -> None:
        async with server.client() as client:
            async for model in client.models.list():
                assert model.capabilities is not None
                assert model.capabilities.batch.supported

    asyncio.run(asked())


def test_a_full_queue_is_429_until_a_batch_has_ended(serving_batches: Starts) -> None:
    server = serving_batches(batch_time_s=1_000, queue=10)

    async def asked() -> None:
        async with server.client() as client:
            made = await client.messages.batches.create(requests=some(6))
            with pytest.raises(anthropic.RateLimitError, match="limit of 10 batch requests") as caught:
                await client.messages.batches.create(requests=some(5))
            assert caught.value.response.headers["retry-after"] == "5"
            await client.messages.batches.create(requests=some(4))
            await client.messages.batches.cancel(made.id)
            await ended(client, made.id)
            await client.messages.batches.create(requests=some(5))

    asyncio.run(asked())
    assert server.batches()["created"] == 3
