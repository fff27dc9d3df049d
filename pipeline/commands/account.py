"""On whose account requests are made, without showing the key."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")


def account(environment: Mapping[str, str]) -> str | None:
    """Eight characters that stand for the key: the same twice, the same key. None: there is no key in the environment."""
    key = next((environment[name] for name in KEYS if environment.get(name)), None)
    return None if key is None else blake2b(key.encode(), digest_size=4).hexdigest()
