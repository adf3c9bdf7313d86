"""The weekly optimisation of agents near their limit (guide: Agent Memory Optimization)."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from tdev_operators.core.agents.candidates import Candidate, candidates, registered
from tdev_operators.core.agents.judging import Work, confinement_result, optimiser_result
from tdev_operators.core.agents.ladder import Goal, Optimised
from tdev_operators.core.agents.pause import paused, resume
from tdev_operators.core.agents.ports import AgentPorts
from tdev_operators.core.agents.undo_store import Change, UndoStore, sha256
from tdev_operators.core.agents.workers import Workers
from tdev_operators.core.agents.writing import Writer
from tdev_operators.core.errors import ProofFailedError
from tdev_operators.core.reporting.wording import counted
from tdev_operators.core.settings import Settings
from tdev_operators.core.verdicts import CheckResult

_TELL_EVERY = 50


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its id, and how it speaks. `write` false tells only."""

    id: str
    note: Callable[[str, Mapping[str, Any]], None]
    progress: Callable[[str], object] = lambda _: None
    check: Callable[[], None] = lambda: None
    write: bool = True


def optimise_agents(ports: AgentPorts, settings: Settings, run: Run) -> tuple[CheckResult, ...]:
    """Make smaller what comes close to the limit, as far as it is proven; two results.

    What an earlier run left half-done is made good first. Where a barrier of the confinement is missing nothing is
    executed.

    Raises:
        TdevError: registry, bucket or store are away; done again, it goes on. BusyError: see `Run.check`.
    """
    began = time.monotonic()
    rules, limits = settings.agents.optimiser, settings.agents
    undo = UndoStore(ports.store, settings)
    writer = Writer(ports, settings, undo, run.note, run.check)
    if run.write:
        for line in writer.make_good():
            run.progress(line)
        if undo.is_paused_by_us:
            resume(ports, undo, run.note)
    found = list(candidates(ports, settings, registered(ports, settings)))
    run.progress(f"{counted(len(found), 'agent')} above {limits.near_limit_kb:g} KB")
    goal = Goal(limits.near_limit_kb, limits.max_size_kb, limits.max_instantiation_us)
    work = Work({one.agent.key: one for one in found}, before=undo.count(run.id))
    with Workers(rules, goal) as workers:
        held = workers.held
        if not held.missing:
            sources = {one.agent.key: one.source.decode() for one in found if not one.refusal}
            for key, done in workers.each(sources, until=began + rules.minutes * 60):
                work.done[key] = done
                run.check()
                if len(work.done) % _TELL_EVERY == 0:
                    run.progress(f"{len(work.done)} of {len(sources)} tried")
    if run.write and rules.write_back:
        _written(work, ports, settings, run, writer)
        undo.forget(ports.clock(), rules.undo_days)
    seconds = time.monotonic() - began
    return (
        confinement_result(held, len(found)).timed(seconds),
        optimiser_result(work, held, settings, writes=run.write and rules.write_back).timed(seconds),
    )


def _written(work: Work, ports: AgentPorts, settings: Settings, run: Run, writer: Writer) -> None:
    """Write what was proven, and keep for each why it was not."""
    smaller = {key: done for key, done in work.done.items() if done.source is not None}
    if not smaller:
        return
    heeded = ports.sources.heeds_conditions(settings.buckets.backups, writer.undo.prefix)
    if not heeded and not settings.agents.optimiser.pause_evolution:
        work.unwritten = dict.fromkeys(
            smaller, "the store ignores If-Match, and pause_evolution = false: somebody else could be written over"
        )
        return
    keeping: AbstractContextManager[None] = nullcontext() if heeded else paused(ports, writer.undo, run.note)
    with keeping:
        for key, done in smaller.items():
            if why := _one_written(work.found[key], done, run, writer):
                work.unwritten[key] = why
    run.progress(f"{len(smaller) - len(work.unwritten)} of {len(smaller)} written")


def _one_written(one: Candidate, done: Optimised, run: Run, writer: Writer) -> str:
    body = (done.source or "").encode()
    change = Change(
        run=run.id,
        agent_id=one.agent.id,
        label=one.agent.label,
        key=one.agent.key,
        former=one.source,
        old_hash=sha256(one.source),
        new_hash=sha256(body),
        new_bytes=len(body),
        seen=one.agent.seen,
        passes=done.passes,
        metrics=_metrics(done),
    )
    try:
        return writer.write(change, body, one.etag)
    except ProofFailedError as error:
        return str(error)


def _metrics(done: Optimised) -> dict[str, Any]:
    before, after = done.before, done.after
    timing = done.instantiation_us
    return {
        "bytes_before": before.source,
        "bytes_after": after.source,
        "footprint_before": before.footprint,
        "footprint_after": after.footprint,
        "instance_before": before.instance,
        "instance_after": after.instance,
        "instantiation_us": None if timing is None else {"before": timing[0], "after": timing[1]},
        "answers_compared": done.asked,
        "coverage_percent": done.coverage_percent,
    }


def take_back(ports: AgentPorts, settings: Settings, wanted: str, run: Run) -> tuple[dict[str, str], int]:
    """Put back the former sources of a run, or of an agent (its newest change); why each was not, empty where it was.

    The second figure is how many there are. Nothing is written where `run.write` is false.

    Raises:
        TdevError: store or database are away; done again, it goes on.
    """
    undo = UndoStore(ports.store, settings)
    writer = Writer(ports, settings, undo, run.note, run.check)
    changes: dict[str, Change] = {}
    for change in undo.of(wanted):
        changes.setdefault(change.key, change)
    if not run.write:
        return dict.fromkeys((one.label for one in changes.values()), "nothing was written: this is a dry run"), len(
            changes
        )
    told: dict[str, str] = {}
    heeded = not changes or ports.sources.heeds_conditions(settings.buckets.backups, undo.prefix)
    keeping: AbstractContextManager[None] = nullcontext()
    if not heeded:  # whoever takes back asked for it, so the evolution may stand for a moment
        keeping = paused(ports, undo, run.note)
    with keeping:
        for change in changes.values():
            try:
                told[change.label] = writer.take_back(change, run.id)
            except ProofFailedError as error:
                told[change.label] = str(error)
    return told, len(changes)
