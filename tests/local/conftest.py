"""A rehearsal server for all tests of this folder, and the real SDK in front of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from anthropic import Anthropic

from tests.local.batching import Starts, starting
from tests.local.running import in_thread


@pytest.fixture(scope="session")
def rehearsal() -> Iterator[str]:
    """The base URL of a rehearsal with seed 0."""
    with in_thread("rehearsal") as base_url:
        yield base_url


@pytest.fixture
def client(rehearsal: str) -> Iterator[Anthropic]:
    """The SDK as a user has it, but that it tries once and checks what comes back against its types."""
    with Anthropic(api_key="any", base_url=rehearsal, max_retries=0, _strict_response_validation=True) as made:
        yield made


@pytest.fixture
def serving_batches() -> Iterator[Starts]:
    with starting() as starts:
        yield starts
