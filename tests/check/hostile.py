"""Replies that are meant to crash, hang or fool whoever reads them, each with the status that it must end as."""

from __future__ import annotations

from pipeline.records import Status

_ANSWER = '{"sentiment": "positive", "stars": 4, "day": "2026-01-01", "note": "%s"}'
_BROKEN = _ANSWER[:-1] + ",}"
_MANY = 100_000

INVALID, OK, REPAIRED = Status.INVALID_OUTPUT, Status.OK, Status.OK_REPAIRED

HOSTILE: dict[str, tuple[str, Status]] = {
    "brackets": ("[" * _MANY, INVALID),
    "arrays, deep": ("[" * _MANY + "]" * _MANY, INVALID),
    "objects, deep": ('{"a":' * _MANY + "1" + "}" * _MANY, INVALID),
    "objects, deep, cut": ('{"a":' * _MANY, INVALID),
    "braces": ("{" * _MANY, INVALID),
    "a million braces": ("{" * 1_000_000, INVALID),
    "braces, then the answer": ("{ " * _MANY + _ANSWER % "x", REPAIRED),
    "begun objects, then the answer": ("{x:" * _MANY + _ANSWER % "x", INVALID),
    "begun names": ('{"' * _MANY, INVALID),
    "arrays of objects": ("[{" * _MANY, INVALID),
    "closing braces": ("}" * _MANY, INVALID),
    "string of 10 MB": ('"' + "x" * 10_000_000 + '"', INVALID),
    "answer of 10 MB": (_ANSWER % ("x" * 10_000_000), INVALID),
    "answer of 0.9 MB": (_ANSWER % ("x" * 900_000), OK),
    "broken, 0.9 MB": (_BROKEN % ("x" * 900_000), INVALID),
    "broken, 95 kB": (_BROKEN % ("x" * 95_000), REPAIRED),
    "quotes inside, 95 kB": (_BROKEN % ('a "b" ' * 15_800), REPAIRED),
    "quotes inside, 0.25 MB": (_BROKEN % ('a "b" ' * 40_000), INVALID),
    "integer of 10,000 digits": ('{"sentiment": "positive", "day": "2026-01-01", "stars": ' + "9" * 10_000 + "}", INVALID),
    "digits in a string": ('{"sentiment": "positive", "day": "2026-01-01", "stars": "' + "9" * _MANY + '"}', INVALID),
    "number beyond a double": ('{"sentiment": "positive", "day": "2026-01-01", "stars": 3, "price": 1e999}', INVALID),
    "huge exponent in a string": (_ANSWER.replace("4", '"4e999"') % "x", INVALID),
    "lone surrogate, escaped": (_ANSWER % "\\ud800", REPAIRED),
    "lone surrogate, raw": (_ANSWER % "\ud800", REPAIRED),
    "NUL, escaped": (_ANSWER % "\\u0000", OK),
    "NUL, raw": (_ANSWER % "\0", REPAIRED),
    "NUL alone": ("\0", INVALID),
    "bidi controls inside": (_ANSWER % "\u202eevil\u2066", OK),
    "bidi controls around": ("\u202e" + _ANSWER % "x", REPAIRED),
    "quotes": ('{"a": ' + '"' * 95_000 + "}", INVALID),
    "backslashes": ('{"a": "' + "\\" * 95_000 + '",}', INVALID),
    "escaped quotes, cut": ('{"a": "' + '\\"' * 45_000, INVALID),
    "comments never closed": ("{'a': " + "/*" * 45_000 + "}", INVALID),
    "comments": ("{'a': " + "/**/" * 24_000 + "1,}", INVALID),
    "comment signs": ("{'a': " + "#" * 95_000 + "}", INVALID),
    "apostrophes": ("{'a': '" + "it's " * 19_000 + "'}", INVALID),
    "many names": ("{" + "".join(f"'k{index}': {index}," for index in range(6_000)) + "}", INVALID),
    "many items": ("{'topics': [" + "'food'," * 13_000 + "]}", INVALID),
    "many mends": (_ANSWER.replace("{", '{"topics": [' + '"Food",' * _MANY + '"food"], ') % "x", INVALID),
    "many faults": ('{"topics": [' + '"x",' * 200_000 + '"food"]}', INVALID),
    "some mends": (_ANSWER.replace("{", '{"topics": [' + '"Food",' * 1_900 + '"food"], ') % "x", REPAIRED),
    "JSON in a string": (_ANSWER.replace("{", '{"people": "[' + "1," * 300_000 + '1]", ') % "x", INVALID),
    "brackets in a string": ('{"people": "' + "[" * _MANY + '"}', INVALID),
    "objects in a string": ('"' + '{\\"a\\":' * _MANY + '"', INVALID),
    "braces in a string": (_ANSWER % ("{" * _MANY), OK),
    "thinking tags": ("<think>" * _MANY + _ANSWER % "x", INVALID),
    "ends of thinking": ("</think>" * _MANY, INVALID),
    "fences": ("```json\n" * _MANY + _ANSWER % "x", REPAIRED),
    "many answers": ((_ANSWER % "x") * 5_000, REPAIRED),
    "many answers, the last one wrong": ((_ANSWER % "x") * 5_000 + _ANSWER.replace("4", "9") % "x", INVALID),
    "spaces": ("{'a':" + " " * 95_000 + "1,}", INVALID),
    "spaces in a date": ('{"sentiment": "positive", "stars": 1, "day": "' + " " * 500_000 + 'x"}', INVALID),
    "parentheses": ("{'a': " + "(" * 1_999 + "1,}", INVALID),
    "bare words": ("{" + "a " * 47_000 + "}", INVALID),
    "commas": ("{" + "," * 95_000 + "}", INVALID),
    "colons": ('{"a"' + ":" * 95_000 + "}", INVALID),
}
