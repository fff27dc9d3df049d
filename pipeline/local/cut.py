"""Stop sequences: text goes on until one of them begins, and not one character of it is let out before that is known."""

from __future__ import annotations

from collections.abc import Sequence


class Cut:
    """Takes a text in pieces and gives the part that may be sent. Once `found` is set there is no more."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.found: str | None = None
        """The stop sequence that ended the text."""

    def feed(self, piece: str) -> str:
        """What can be sent now; empty while the end might still be the beginning of a stop sequence."""
        if not self._stops or self.found:
            return "" if self.found else piece
        text = self._held + piece
        places = [(place, stop) for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            # The first to be complete wins, so that it does not matter how the text was cut into pieces; of two that
            # are complete at once, the longer.
            place, self.found = min(places, key=lambda each: (each[0] + len(each[1]), each[0]))
            self._held = ""
            return text[:place]
        hold = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - hold :]
        return text[: len(text) - hold]

    def rest(self) -> str:
        """What was held back, now that the text is over."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` with which `stop` begins."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if stop.startswith(text[-size:])), 0)
