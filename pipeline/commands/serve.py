"""`pipeline serve`: the local Anthropic-compatible server."""

from __future__ import annotations

import sys

from pipeline.local.server import run


def serve(model: str, port: int, latency_s: float, seed: int, slots: int | None, until_eof: bool) -> None:
    """Serves until a signal, or until standard input ends. Its base URL is the first and only line on stdout."""

    def announce(base_url: str) -> None:
        print(base_url, flush=True)  # noqa: T201 the answer of this command
        if not until_eof:
            print(  # noqa: T201
                f"{model} answers at {base_url} (loopback only, any key). Try:\n"
                f"  ANTHROPIC_BASE_URL={base_url} ANTHROPIC_API_KEY=local python your_script.py\n"
                "ctrl-C stops it.",
                file=sys.stderr,
            )

    stdin = sys.stdin.buffer if until_eof else None
    run(model, port=port, latency_s=latency_s, seed=seed, slots=slots, announce=announce, until_eof=stdin)
