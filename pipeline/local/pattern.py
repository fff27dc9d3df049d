"""Regular expressions read backwards: a pattern → a text that it matches.

Covers what schemas use: classes, escapes, groups, alternatives, repetition. Anchors and look-around write nothing, so
whoever needs certainty validates what comes out. Written here because no dependency of ours does it: hypothesis does,
and is a test library; the parser behind `re` is private and does not speak ECMA 262.
"""

from __future__ import annotations

import string
from random import Random

from pipeline.local.errors import Unmakeable

SHORTHANDS = {
    "d": string.digits,
    "w": string.ascii_lowercase + string.digits + "_",
    "s": " ",
    "D": string.ascii_lowercase,
    "W": "-",
    "S": string.ascii_lowercase,
}
CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
ANY = string.ascii_letters + string.digits + " -_.,:;/+=@#é中"
PROPERTIES = {"L": "abcxyzé", "Lu": "ABCXYZ", "Ll": "abcxyz", "N": "0123456789", "Nd": "0123456789", "P": ".,;:!?"}
"""Characters for the Unicode properties that people write most (`\\p{L}`, `\\p{Letter}` is not among them)."""
MAX_REPEATS = 1_000


def matching(pattern: str, random: Random, *, reach: int = 3) -> str:
    """A text that `pattern` matches as a whole. `reach`: by how much open repetitions may exceed their minimum.

    Raises Unmakeable on syntax that is not covered.
    """
    maker = _Maker(pattern, random, reach)
    text = maker.alternatives()
    if maker.more():
        raise Unmakeable(f"pattern {pattern!r}: unbalanced parenthesis")
    return text


class _Maker:
    """A recursive descent that writes instead of matching. Repetition goes back and reads its atom again."""

    def __init__(self, pattern: str, random: Random, reach: int) -> None:
        self._pattern = pattern
        self._random = random
        self._reach = reach
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._pattern)

    def alternatives(self) -> str:
        texts = [self._sequence()]
        while self._taken("|"):
            texts.append(self._sequence())
        return self._random.choice(texts)

    def _sequence(self) -> str:
        texts = []
        while self.more() and self._pattern[self._at] not in "|)":
            start = self._at
            text = self._atom()
            after_atom = self._at
            low, high = self._repetition()
            after_repetition = self._at
            count = self._random.randint(low, high)
            if count and after_repetition != after_atom:
                for _ in range(count - 1):
                    self._at = start
                    text += self._atom()
                self._at = after_repetition
            texts.append(text if count else "")
        return "".join(texts)

    def _repetition(self) -> tuple[int, int]:
        """How often the atom just read may stand: the least, and the most that is of use."""
        if self._taken("*"):
            low, high = 0, self._reach
        elif self._taken("+"):
            low, high = 1, 1 + self._reach
        elif self._taken("?"):
            low, high = 0, 1
        else:
            low, high = self._braces()
        self._taken("?")  # lazy or greedy is all the same here
        if low > MAX_REPEATS:
            raise Unmakeable(f"pattern {self._pattern!r}: more than {MAX_REPEATS} repetitions")
        return low, high

    def _braces(self) -> tuple[int, int]:
        end = self._pattern.find("}", self._at)
        if end < 0 or self._pattern[self._at] != "{":
            return 1, 1
        first, comma, second = self._pattern[self._at + 1 : end].partition(",")
        if not first.isdigit() or (second and not second.isdigit()):
            return 1, 1
        self._at = end + 1
        low = int(first)
        high = int(second) if second else low + self._reach if comma else low
        return low, max(low, min(high, low + self._reach))

    def _atom(self) -> str:
        character = self._pattern[self._at]
        self._at += 1
        match character:
            case "(":
                return self._group()
            case "[":
                return self._random.choice(self._class())
            case ".":
                return self._random.choice(ANY)
            case "^" | "$":
                return ""
            case "\\":
                if self.more() and self._pattern[self._at] in "bB":
                    self._at += 1
                    return ""
                return self._random.choice(self._escape())
        return character

    def _group(self) -> str:
        silent = False
        if self._taken("?"):
            if self._taken(":"):
                pass
            elif any(self._taken(look) for look in ("=", "!", "<=", "<!")):
                silent = True
            elif self._taken("<"):
                self._at = self._pattern.index(">", self._at) + 1 if ">" in self._pattern[self._at :] else self._at
            else:
                raise Unmakeable(f"pattern {self._pattern!r}: this kind of group is not covered")
        text = self.alternatives()
        if not self._taken(")"):
            raise Unmakeable(f"pattern {self._pattern!r}: unbalanced parenthesis")
        return "" if silent else text

    def _escape(self) -> str:
        """The characters that an escape stands for; the backslash has been read."""
        if not self.more():
            raise Unmakeable(f"pattern {self._pattern!r}: ends with a backslash")
        character = self._pattern[self._at]
        self._at += 1
        if character in SHORTHANDS:
            return SHORTHANDS[character]
        if character in CONTROLS:
            return CONTROLS[character]
        if character in "xu":
            return self._code_point({"x": 2, "u": 4}[character])
        if character in "pP":
            return self._property(negated=character == "P")
        if character.isalnum():
            raise Unmakeable(f"pattern {self._pattern!r}: \\{character} is not covered")
        return character

    def _code_point(self, digits: int) -> str:
        code = self._pattern[self._at : self._at + digits]
        self._at += digits
        try:
            return chr(int(code, 16))
        except ValueError:
            raise Unmakeable(f"pattern {self._pattern!r}: {code!r} is no code point") from None

    def _property(self, *, negated: bool) -> str:
        name, brace, _ = self._pattern[self._at + 1 :].partition("}")
        self._at += len(name) + len(brace) + 1
        if name not in PROPERTIES:
            raise Unmakeable(f"pattern {self._pattern!r}: \\p{{{name}}} is not covered")
        return "".join(each for each in ANY if each not in PROPERTIES[name]) if negated else PROPERTIES[name]

    def _class(self) -> str:
        """All characters of a class; of one that is negated, those of ANY that are not in it."""
        negated = self._taken("^")
        characters = ""
        while self.more() and not self._taken("]"):
            members = self._member()
            if len(members) == 1 and self._is_range():
                self._at += 1
                last = self._member()
                characters += "".join(map(chr, range(ord(members), min(ord(last[0]), ord(members) + 255) + 1)))
            else:
                characters += members
        if negated:
            characters = "".join(each for each in ANY if each not in characters)
        if not characters:
            raise Unmakeable(f"pattern {self._pattern!r}: an empty class")
        return characters

    def _member(self) -> str:
        character = self._pattern[self._at]
        self._at += 1
        return self._escape() if character == "\\" else character

    def _is_range(self) -> bool:
        return self._pattern[self._at : self._at + 1] == "-" and self._pattern[self._at + 1 : self._at + 2] not in (
            "]",
            "",
        )

    def _taken(self, token: str) -> bool:
        """Steps over `token` where it comes next."""
        found = self._pattern.startswith(token, self._at)
        if found:
            self._at += len(token)
        return found
