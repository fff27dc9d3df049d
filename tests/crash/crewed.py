"""A campaign whose requests are sent by others, which are killed, too."""

from __future__ import annotations

import json
from collections import Counter
from typing import ClassVar

from tests.crash.campaign import Campaign


class Crewed(Campaign):
    """A job with workers. One that is killed takes requests with it and the run goes on: it tells of each, and that is what may
    have been paid for again."""

    death: ClassVar[str] = ""
    """How the deaths that count begin to be told."""

    def allowed(self) -> Counter[tuple[str, int]]:
        logged = self.logged()
        return Counter({asked: logged[asked[0]] for asked in self.ledger.charged()})

    def most_in_flight(self) -> int:
        """What a worker took with it is in doubt, too, while it waits to be sent again, and then holds no place."""
        return super().most_in_flight() + sum(self.had())

    def had(self) -> list[int]:
        """Requests that each worker had when it ended, as the run said."""
        lines = map(json.loads, (self.folder / "runs/job/log.jsonl").read_text().splitlines())
        told = f"a worker ended ({self.death}"
        said = [line["text"] for line in lines if line["event"] == "notice" and told in line["text"]]
        return [int(text.split("): ")[1].split()[0].replace(",", "").replace("it", "0")) for text in said]
