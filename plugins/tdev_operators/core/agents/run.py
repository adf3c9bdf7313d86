"""The weekly optimisation of agents near their limit (guide: Agent Memory Optimization)."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tdev_operators.core.agents.candidates import Candidate, candidates, registered
from tdev_operators.core.agents.judging import Work, confinement_result, optimiser_result
from tdev_operators.core.agents.ladder import Goal, Optimised
from tdev_operators.core.agents.pause import paused, resume
from tdev_operators.core.agents.ports import AgentPorts
from tdev_operators.core.agents.undo_store import Change, UndoStore, sha256
from tdev_operators.core.agents.workers import Workers
from tdev_operators.core.agents.writing import IGNORED, Writer
from tdev_operators.core.errors import ProofFailedError
from tdev_operators.core.reporting.escaping import storable
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
    stuck = _made_good(writer, run) if run.write else {}
    found = list(candidates(ports, settings, registered(ports, settings)))
    run.progress(f"{counted(len(found), 'agent')} above {limits.near_limit_kb:g} KB")
    goal = Goal(limits.near_limit_kb, limits.max_size_kb, limits.max_instantiation_us)
    work = Work({one.agent.key: one for one in found}, before=undo.count(run.id), stuck=stuck)
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
        _written(work, run, writer)
        undo.forget(ports.clock(), rules.undo_days)
    seconds = time.monotonic() - began
    return (
        confinement_result(held, len(found)).timed(seconds),
        optimiser_result(work, held, settings, writes=run.write and rules.write_back).timed(seconds),
    )


@contextmanager
def _writing(writer: Writer, run: Run, *, may_pause: bool) -> Iterator[Writer]:
    """Yield who may write: on conditions, or else while the evolution is paused, or else not into the bucket."""
    undo = writer.undo
    if writer.ports.sources.heeds_conditions(writer.settings.buckets.agents, undo.prefix):
        yield writer
    elif may_pause:
        with paused(writer.ports, undo, run.note):
            yield replace(writer, unconditional=True)
    else:
        yield replace(writer, may_put_back=False)


def _made_good(writer: Writer, run: Run) -> dict[str, str]:
    """Make good what a dead run left; return what stays half-done, and why. Whatever happens, the evolution goes on."""
    stuck: dict[str, str] = {}
    try:
        if writer.undo.pending():
            with _writing(writer, run, may_pause=writer.settings.agents.optimiser.pause_evolution) as able:
                done, stuck = able.make_good()
            for line in done:
                run.progress(line)
    finally:
        if writer.undo.is_paused_by_us:
            resume(writer.ports, writer.undo, run.note)
    return stuck


def _written(work: Work, run: Run, writer: Writer) -> None:
    """Write what was proven, and keep for each why it was not."""
    smaller = {key: done for key, done in work.done.items() if done.source is not None}
    if not smaller:
        return
    with _writing(writer, run, may_pause=writer.settings.agents.optimiser.pause_evolution) as able:
        if not able.may_put_back:
            work.unwritten = dict.fromkeys(smaller, IGNORED)
            return
        for key, done in smaller.items():
            if why := _one_written(work.found[key], done, run, able):
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
        metrics=storable(_metrics(done)),
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
    try:
        if changes:
            # Whoever takes back asked for it, so the evolution may stand for a moment.
            with _writing(writer, run, may_pause=True) as able:
                for change in changes.values():
                    try:
                        told[change.label] = able.take_back(change, run.id)
                    except ProofFailedError as error:
                        told[change.label] = str(error)
    finally:
        if undo.is_paused_by_us:
            resume(ports, undo, run.note)
    return told, len(changes)
