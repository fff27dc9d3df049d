"""Which regular expressions the API compiles into its grammar.

Documented as taken: anchors, `* + ?`, small `{n,m}`, classes, groups; as not taken: back-references, look-around,
`\\b`, large ranges (platform.claude.com/docs/en/build-with-claude/structured-outputs, as of 2026-10-08). Whether an
unanchored pattern is searched, as JSON Schema says, or matched whole is not documented: only a pattern anchored at
both ends means the same either way, so only such a pattern is sent.
"""

from __future__ import annotations

import re

LARGEST_COUNT = 32
"""Of `{n,m}`. The documentation says `small` and gives no figure; this is ours."""

_TOKEN = re.compile(
    r"""
    (?P<open>\((?:\?:)?)
  | (?P<close>\))
  | (?P<bar>\|)
  | (?P<count>\{(?P<least>\d{1,4})(?:,(?P<most>\d{1,4}))?\})
  | (?P<times>[*+?])
  | (?P<class>\[\^?(?:\\[dwsnrt.\-/+*?()\[\]{}|^$\\]|[ -Z_-~^])+\])
  | (?P<atom>\\[dwsnrt.\-/+*?()\[\]{}|^$\\]|[ -~])
    """,
    re.VERBOSE,
)
_SPECIAL = frozenset("()[]{}*+?|^$\\")


def is_simple(pattern: str) -> bool:
    """Whether the API form takes the pattern with the meaning that JSON Schema gives it."""
    if not (pattern.startswith("^") and pattern.endswith("$")):
        return False
    at, end, depth, repeatable = 1, len(pattern) - 1, 0, False
    while at < end:
        token = _TOKEN.match(pattern, at, end)
        if token is None:
            return False
        at = token.end()
        match token.lastgroup:
            case "open":
                depth, repeatable = depth + 1, False
            case "close":
                depth, repeatable = depth - 1, True
            case "bar":
                if depth == 0:  # ^a|b$ is anchored at neither
                    return False
                repeatable = False
            case "count" | "times":
                counts = [int(count) for count in (token["least"], token["most"]) if count is not None]
                if not repeatable or max(counts, default=0) > LARGEST_COUNT:
                    return False
                repeatable = False  # a second one would make it lazy or possessive
            case "atom" if token[0] in _SPECIAL:
                return False
            case _:
                repeatable = True
        if depth < 0:
            return False
    return depth == 0
