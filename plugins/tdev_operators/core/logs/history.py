"""What earlier runs kept in the ledger: where to go on, what they counted, which shapes of messages they knew."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tdev_operators.core.ledger import ItemStore, Sample
from tdev_operators.core.logs.tally import Tally, together

KIND = "logs"


@dataclass(slots=True)
class SourceState:
    """A source as the last run left it: the tokens of its reader, and what was counted of the window."""

    tokens: Any = None
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class History:
    """What is known before a run, by pattern: its lines by hour, and the hours in which it was looked for.

    `is_known` is False while the ledger's database is down.
    """

    sources: Mapping[str, SourceState]
    shapes: tuple[tuple[str, int, str], ...]
    by_hour: Mapping[str, Mapping[int, int]]
    read: Mapping[str, frozenset[int]]
    is_known: bool = True


def history_of(ledger: ItemStore, system: str, patterns: Mapping[str, str], now: datetime, days: int) -> History:
    """Read what was kept in so many days.

    Where a pattern has changed since, what was counted by the last run is of no use: everything is read anew.
    """
    samples = ledger.samples(system, KIND, now - timedelta(days=days))
    if samples is None:
        return History({}, (), {}, {}, is_known=False)
    before = [sample for sample in samples if sample.taken_at < now]
    if not before:
        return History({}, (), {}, {})
    last = before[-1].facts
    sources: dict[str, SourceState] = {}
    if last.get("patterns") == digest_of(patterns):
        sources = {
            title: SourceState(state["tokens"], Tally.from_json(state["tally"]))
            for title, state in last["sources"].items()
        }
    return History(sources, tuple(map(tuple, last.get("shapes", ()))), *_hours(before, patterns))


def _hours(
    samples: Sequence[Sample], patterns: Mapping[str, str]
) -> tuple[dict[str, dict[int, int]], dict[str, frozenset[int]]]:
    """Return each pattern's lines by hour, and the hours that were read: of an hour the last sample counts.

    Of a sample that did not look for a pattern, or for another one of this name, nothing is known of its lines.
    """
    by_hour: dict[str, dict[int, int]] = {name: {} for name in patterns}
    read: dict[str, set[int]] = {name: set() for name in patterns}
    all_of_them, each_of_them = digest_of(patterns), digests_of(patterns)
    for sample in samples:
        facts = sample.facts
        since, until = facts["since"], facts["until"]
        whole = together(Tally.from_json(state["tally"]) for state in facts["sources"].values())
        # Samples of before this was kept say only whether all of them were the same.
        looked_for = facts.get("each", each_of_them if facts["patterns"] == all_of_them else {})
        for pattern, digest in each_of_them.items():
            if looked_for.get(pattern) != digest:
                continue
            if facts["complete"]:
                read[pattern].update(range(since, until))  # the last hour was not over
            known = by_hour[pattern]
            for hour in [hour for hour in known if since <= hour <= until]:
                del known[hour]
            known.update(whole.by_hour(pattern))
    return by_hour, {pattern: frozenset(hours) for pattern, hours in read.items()}


def kept(
    sources: Mapping[str, SourceState],
    shapes: Iterable[Sequence[Any]],
    patterns: Mapping[str, str],
    *,
    since: int,
    until: int,
    complete: bool,
) -> dict[str, Any]:
    """Return what the next run has to know, as plain JSON types. `since` and `until` are hours since 1970."""
    return {
        "patterns": digest_of(patterns),
        "each": digests_of(patterns),
        "since": since,
        "until": until,
        "complete": complete,
        "sources": {title: {"tokens": one.tokens, "tally": one.tally.to_json()} for title, one in sources.items()},
        "shapes": list(shapes),
    }


def digest_of(patterns: Mapping[str, str]) -> str:
    """Return the fingerprint of what is looked for."""
    text = "\n".join(f"{name}\t{regex}" for name, regex in sorted(patterns.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digests_of(patterns: Mapping[str, str]) -> dict[str, str]:
    """Return the fingerprint of each pattern."""
    return {name: digest_of({name: regex}) for name, regex in patterns.items()}
