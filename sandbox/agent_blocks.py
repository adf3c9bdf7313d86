"""The building blocks of agents' sources: real Python with `$holes`, put together by `agent_sources`.

Each block is its imports and its code. An agent is one body (it defines `create_agent()`, whose result maps a list of
numbers to a float) and as many helpers as its size allows; a body may be written in any style that people write.
"""

from typing import NamedTuple


class Block(NamedTuple):
    """Import lines, and code with `$holes`."""

    imports: tuple[str, ...]
    code: str


BODIES = (
    Block(
        ("from dataclasses import dataclass",),
        '''
@dataclass
class ${Noun}${Role}:
    """Weighs ${noun} values by a threshold that follows what it has seen.

    The threshold starts at ${f1} and moves by ${f2} of the distance to each value.
    """

    threshold: float = ${f1}
    rate: float = ${f2}
    seen: int = 0

    def __call__(self, values):
        total = 0.0
        threshold = self.threshold
        for value in values:
            if value > threshold:
                total += value * ${f3}
            else:
                total -= (threshold - value) * ${f4}
            threshold += (value - threshold) * self.rate
        self.seen += len(values)
        return total


def create_agent():
    return ${Noun}${Role}()
''',
    ),
    Block(
        (),
        """
class ${Noun}${Role}:
    __slots__ = ("_state", "_score", "_limit")

    def __init__(self, limit=${n1}):
        self._state = "idle"
        self._score = 0.0
        self._limit = limit

    def _step(self, ${noun}_value):
        if self._state == "idle":
            self._state = "busy" if ${noun}_value > ${f1} else "idle"
        elif self._state == "busy":
            self._score += ${noun}_value / ${n2}
            if self._score > self._limit:
                self._state = "full"
        else:
            self._score *= ${f2}
            self._state = "idle"

    def __call__(self, values):
        self._state, self._score = "idle", 0.0
        for ${noun}_value in values:
            self._step(${noun}_value)
        return self._score


def create_agent():
    return ${Noun}${Role}()
""",
    ),
    Block(
        (),
        '''
def create_agent(gain=${f1}, offset=${f2}):
    """Return a ${role} of ${noun} values: a closure that remembers its last answer."""
    last = 0.0
    history = []

    def ${verb}_${noun}(values):
        nonlocal last
        answer = sum(gain * value + offset for value in values)
        if abs(answer - last) < ${f3}:
            answer = last
        last = answer
        history.append(answer)
        del history[:-${n1}]
        return float(answer)

    return ${verb}_${noun}
''',
    ),
    Block(
        ("import asyncio",),
        '''
async def _${verb}(queue, results, factor):
    while True:
        ${noun} = await queue.get()
        if ${noun} is None:
            return
        results.append(${noun} * factor)


async def _run(values):
    queue = asyncio.Queue(maxsize=${n1})
    results = []
    workers = [asyncio.create_task(_${verb}(queue, results, ${f1})) for _ in range(${n3})]
    for value in values:
        await queue.put(value)
    for _ in workers:
        await queue.put(None)
    await asyncio.gather(*workers)
    return float(sum(results))


def create_agent():
    """Return an agent that hands its ${noun} values to ${n3} workers."""
    return lambda values: asyncio.run(_run(values))
''',
    ),
    Block(
        ("from collections.abc import Iterable, Iterator",),
        '''
def _windows(values: Iterable[float], width: int) -> Iterator[list[float]]:
    window: list[float] = []
    for value in values:
        window.append(value)
        if len(window) > width:
            del window[0]
        yield list(window)


def _${verb}(windows: Iterable[list[float]]) -> Iterator[float]:
    for window in windows:
        yield max(window) - min(window) * ${f1}


def create_agent(width: int = ${n3}):
    """Stream ${noun} values through sliding windows of ${n3}."""
    def agent(values: list[float]) -> float:
        return float(sum(_${verb}(_windows(values, width))))

    return agent
''',
    ),
    Block(
        ("from abc import ABC, abstractmethod",),
        '''
class Rule(ABC):
    """One opinion on a ${noun}."""

    weight = 1.0

    @abstractmethod
    def judge(self, value):
        ...


class HighRule(Rule):
    weight = ${f1}

    def judge(self, value):
        return 1.0 if value > ${n1} else 0.0


class LowRule(Rule):
    weight = ${f2}

    def judge(self, value):
        return -1.0 if value < ${f3} else 0.0


class EvenRule(Rule):
    def judge(self, value):
        return ${f4} if int(value) % 2 == 0 else 0.0


class ${Noun}${Role}:
    def __init__(self, rules=None):
        self.rules = rules or [HighRule(), LowRule(), EvenRule()]

    def __call__(self, values):
        return float(sum(rule.weight * rule.judge(v) for v in values for rule in self.rules))


def create_agent():
    return ${Noun}${Role}()
''',
    ),
    Block(
        ("from functools import reduce", "from typing import NamedTuple"),
        '''
class Tally(NamedTuple):
    """What is known of the ${noun} values so far."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0


def _add(tally, value):
    return Tally(tally.count + 1, tally.total + value, tally.squares + value * value)


def create_agent():
    """Return a pure ${role}: mean plus ${f1} times the variance."""
    def ${verb}(values):
        tally = reduce(_add, values, Tally())
        if not tally.count:
            return 0.0
        mean = tally.total / tally.count
        return float(mean + ${f1} * (tally.squares / tally.count - mean * mean))

    return ${verb}
''',
    ),
    Block(
        ("from enum import Enum, auto",),
        """
class ${Noun}Kind(Enum):
    SMALL = auto()
    MEDIUM = auto()
    LARGE = auto()

    @classmethod
    def of(cls, value):
        if value < ${f1}:
            return cls.SMALL
        return cls.MEDIUM if value < ${n1} else cls.LARGE


def _${verb}(value):
    match ${Noun}Kind.of(value):
        case ${Noun}Kind.SMALL:
            return value * ${f2}
        case ${Noun}Kind.MEDIUM:
            return value + ${n2}
        case _:
            return value / ${n3}


def create_agent():
    return lambda values: float(sum(map(_${verb}, values)))
""",
    ),
    Block(
        ("import heapq",),
        '''
class ${Noun}${Role}:
    """Serves the ${n3} largest ${noun} values first, the rest at a discount of ${f1}."""

    def __init__(self):
        self.heap = []
        self.discount = ${f1}

    def ${verb}(self, values):
        self.heap = [-value for value in values]
        heapq.heapify(self.heap)
        served = 0.0
        rank = 0
        while self.heap:
            value = -heapq.heappop(self.heap)
            served += value if rank < ${n3} else value * self.discount
            rank += 1
        return served

    def __call__(self, values):
        return float(self.${verb}(list(values)))


def create_agent():
    return ${Noun}${Role}()
''',
    ),
    Block(
        ("from contextlib import contextmanager",),
        """
class ${Noun}Ledger:
    def __init__(self):
        self.entries = []
        self.open = False

    @contextmanager
    def session(self):
        self.open = True
        try:
            yield self
        finally:
            self.open = False
            del self.entries[${n1}:]

    def book(self, amount):
        if not self.open:
            raise RuntimeError("the ledger of ${noun} values is closed")
        self.entries.append(amount * ${f1})


def create_agent():
    ledger = ${Noun}Ledger()

    def ${verb}(values):
        with ledger.session() as session:
            for value in values:
                session.book(value)
            return float(sum(session.entries))

    return ${verb}
""",
    ),
    Block(
        ("from collections import defaultdict, deque",),
        '''
class ${Noun}Graph:
    """Neighbouring ${noun} values are linked; the answer is the weight reached from the first one."""

    def __init__(self, reach=${n3}):
        self.reach = reach

    def _links(self, values):
        links = defaultdict(list)
        for left in range(len(values)):
            for right in range(left + 1, min(left + self.reach, len(values))):
                if abs(values[left] - values[right]) < ${n1}:
                    links[left].append(right)
                    links[right].append(left)
        return links

    def __call__(self, values):
        if not values:
            return 0.0
        links, todo, done = self._links(values), deque([0]), {0}
        while todo:
            for other in links[todo.popleft()]:
                if other not in done:
                    done.add(other)
                    todo.append(other)
        return float(sum(values[i] for i in done) * ${f1})


def create_agent():
    return ${Noun}Graph()
''',
    ),
    Block(
        (),
        '''
class Bounded:
    """A number that stays inside its bounds."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    def __set_name__(self, owner, name):
        self.name = "_" + name

    def __get__(self, instance, owner=None):
        return self if instance is None else getattr(instance, self.name)

    def __set__(self, instance, value):
        setattr(instance, self.name, min(max(value, self.low), self.high))


class ${Noun}${Role}:
    gain = Bounded(0.0, ${n1})
    bias = Bounded(-${f1}, ${f1})

    def __init__(self, gain=${f2}, bias=${f3}):
        self.gain = gain
        self.bias = bias

    def __call__(self, values):
        for value in values:
            self.bias = self.bias + value * ${f4} * 0.01
        return float(self.gain * sum(values) + self.bias)


def create_agent():
    return ${Noun}${Role}()
''',
    ),
)

HELPERS = (
    Block(
        (),
        '''
def moving_average_of_${noun}(values, width=${n3}):
    """Return the moving average of the last ${n3} values at each place."""
    answer = []
    for place in range(len(values)):
        window = values[max(0, place - width + 1) : place + 1]
        answer.append(sum(window) / len(window))
    return answer
''',
    ),
    Block(
        ("import re",),
        '''
_${UPPER}_PATTERN = re.compile(r"(?P<name>[a-z_]+)=(?P<value>-?\\d+(?:\\.\\d+)?)")


def parse_${noun}_line(line):
    """Read `name=value` pairs from a line of text; what does not fit is skipped."""
    return {match["name"]: float(match["value"]) for match in _${UPPER}_PATTERN.finditer(line)}
''',
    ),
    Block(
        ("import json",),
        """
def ${noun}_to_json(name, score, tags=()):
    document = {
        "kind": "${noun}",
        "name": name,
        "score": round(score, ${n3}),
        "tags": sorted(set(tags)),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"))
""",
    ),
    Block(
        ("import math",),
        '''
def entropy_of_${noun}(counts):
    """Shannon entropy in bits of a list of counts."""
    total = sum(counts)
    if total <= 0:
        return 0.0
    shares = [count / total for count in counts if count > 0]
    return -sum(share * math.log2(share) for share in shares)
''',
    ),
    Block(
        ("import hashlib",),
        """
def fingerprint_of_${noun}(parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(str(part).encode())
        digest.update(b"\\x1f")
    return digest.hexdigest()[: ${n2}]
""",
    ),
    Block(
        ("import random",),
        '''
def mutate_${noun}(genome, rate=${f2}, seed=${n1}):
    """Return a copy of the genome in which about `rate` of the genes have moved by up to ${f1}."""
    source = random.Random(seed)
    return [
        gene + source.uniform(-${f1}, ${f1}) if source.random() < rate else gene
        for gene in genome
    ]
''',
    ),
    Block(
        (),
        """
def crossover_of_${noun}(left, right, at=${n3}):
    # One cut. The shorter parent decides how long the child is.
    length = min(len(left), len(right))
    cut = min(at, length)
    return left[:cut] + right[cut:length]
""",
    ),
    Block(
        ("from functools import lru_cache",),
        '''
@lru_cache(maxsize=${n2})
def paths_of_${noun}(width, height):
    """In how many ways does one walk from corner to corner?"""
    if width <= 0 or height <= 0:
        return 1
    return paths_of_${noun}(width - 1, height) + paths_of_${noun}(width, height - 1)
''',
    ),
    Block(
        ("import logging",),
        """
_log = logging.getLogger("agents.${noun}")


def checked_${noun}(value, low=-${n1}, high=${n2}):
    if not low <= value <= high:
        _log.warning("%s is outside of %s to %s for this ${noun}", value, low, high)
        return max(low, min(high, value))
    return value
""",
    ),
    Block(
        (),
        '''
def describe_${noun}(score):
    """Say in words how good a score is, for the report that operators read in the morning."""
    if score >= 0.9:
        return "This ${noun} ${role} is excellent: it may become a parent of the next generation."
    if score >= ${f1}:
        return "This ${noun} ${role} is good enough to stay in the population for now."
    return "This ${noun} ${role} is weak: it leaves the population at the end of this generation."
''',
    ),
    Block(
        ("import statistics",),
        """
def summary_of_${noun}(values):
    if len(values) < 2:
        return {"mean": values[0] if values else 0.0, "spread": 0.0}
    return {
        "mean": statistics.fmean(values),
        "median": statistics.median(values),
        "spread": statistics.stdev(values),
    }
""",
    ),
    Block(
        ("import time",),
        '''
def within_budget_for_${noun}(work, items, budget_ms=${n1}):
    """Do the work on each item until the budget is used up; return what was done."""
    until = time.perf_counter() + budget_ms / 1000
    done = []
    for item in items:
        if time.perf_counter() > until:
            break
        done.append(work(item))
    return done
''',
    ),
    Block(
        ("import itertools",),
        """
def pairs_of_${noun}(values, limit=${n1}):
    every = itertools.combinations(values, 2)
    close = (pair for pair in every if abs(pair[0] - pair[1]) < ${f3})
    return list(itertools.islice(close, limit))
""",
    ),
    Block(
        (),
        '''
class ${Noun}Cache:
    """Keeps at most ${n2} answers, the oldest goes first."""

    def __init__(self, size=${n2}):
        self.size = size
        self.answers = {}

    def get(self, key, make):
        if key not in self.answers:
            if len(self.answers) >= self.size:
                self.answers.pop(next(iter(self.answers)))
            self.answers[key] = make(key)
        return self.answers[key]
''',
    ),
    Block(
        (),
        """
def normalised_${noun}(values):
    if not values:
        return []
    low, high = min(values), max(values)
    if low == high:
        return [${f1} for _ in values]
    return [(value - low) / (high - low) for value in values]
""",
    ),
    Block(
        (),
        '''
def tournament_of_${noun}(population, key, rounds=${n3}):
    """The winner of each round is compared with the next challenger; ties go to the elder."""
    champion = None
    for challenger in population[:rounds]:
        if champion is None or key(challenger) > key(champion):
            champion = challenger
    return champion
''',
    ),
)

UNUSED_IMPORTS = (
    "import calendar",
    "import csv",
    "import decimal",
    "import fractions",
    "import os",
    "import string",
    "import sys",
    "import uuid",
    "from collections import Counter, OrderedDict",
    "from datetime import datetime, timedelta",
    "from pathlib import Path",
    "from typing import Any, Optional",
)

NOUNS = (
    *("ticket", "invoice", "sensor", "route", "parcel", "signal", "tenant", "cursor", "packet", "ledger", "voucher"),
    *("query", "canvas", "corpus", "genome", "lattice", "harvest", "beacon", "quota", "shard", "tariff", "vector"),
    *("orchard", "cluster", "anchor", "border", "carrier", "dispatch", "episode", "fixture", "gateway", "habitat"),
    *("incident", "journal", "kernel", "market", "nebula", "outlet", "pattern", "quarry", "reactor", "session"),
)
ROLES = ("Scorer", "Router", "Planner", "Filter", "Balancer", "Ranker", "Watcher", "Broker", "Sampler", "Grader")
VERBS = ("rank", "fold", "merge", "route", "weigh", "trim", "score", "blend", "probe", "settle", "shift", "gather")
