"""Moments of a back-up at which a fault happens, by what passes a proxy just then."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from sandbox.fault_proxy import asking, named
from tests.faults.source import AGENTS, BACKUPS, CHECKPOINTS
from tests.seeded import SEED


@dataclass(frozen=True)
class Moment:
    """The `nth` request or connection that matches, or when `share` of an application's traffic has passed.

    `times` is how often the fault fires (None: until the task has ended).
    """

    name: str
    of: Literal["s3", "postgres"] = "s3"
    matching: Callable[[Any], bool] = lambda _: True
    nth: int = 1
    share: float = 0.0
    application: str = ""
    times: int | None = 1
    steps: tuple[str, ...] = ("take",)

    def lasting(self) -> "Moment":
        """Return the moment from which on a fault stays until the task has ended."""
        return Moment(
            f"{self.name}, from then on",
            self.of,
            self.matching,
            self.nth,
            self.share,
            self.application,
            None,
            self.steps,
        )


def passing(application: str, share: float) -> Moment:
    """Return the moment when so much of an application's traffic with PostgreSQL has passed."""
    name = f"{application} at {share:.0%}"
    return Moment(name, "postgres", named(application), share=share, application=application)


MARK = Moment("the mark of a new set", matching=asking("PutObject", key=r"staged\.json$"))
UPLOAD = Moment("the first upload begins", matching=asking("CreateMultipartUpload", bucket=BACKUPS))
PART = Moment("a part of the dump", matching=asking("UploadPart", bucket=BACKUPS))
SECOND_PART = Moment("the second part", matching=asking("UploadPart", bucket=BACKUPS), nth=2)
DUMPED = Moment("the first upload's end", matching=asking("CompleteMultipartUpload", bucket=BACKUPS))
PROOF = Moment("the proof record", matching=asking("PutObject", "UploadPart", key=r"proof\.json"))
LIST = Moment("the source's list", matching=asking("ListObjectsV2", bucket=AGENTS))
READ = Moment("a read of the source", matching=asking("GetObject", bucket=AGENTS))
COPY = Moment("a large copy", matching=asking("CopyObject", bucket=BACKUPS))
SOURCE_OF_COPY = Moment("the second source's list", matching=asking("ListObjectsV2", bucket=CHECKPOINTS))
PACK = Moment("a pack", matching=asking("PutObject", "CreateMultipartUpload", key=r"/packs/"))
MANIFEST = Moment("the manifest", matching=asking("PutObject", key=r"manifest\.json$"))
PROVING = Moment(
    "the proof reads the dump",
    matching=asking("GetObject", bucket=BACKUPS, key=r"toc\.dat$"),
    nth=2,
    steps=("take", "verify"),
)


def at(fault: str, *moments: Moment) -> pytest.MarkDecorator:
    """Repeat a test at these moments: one without a mark, all of them marked `faults`."""
    chosen = random.Random(f"{SEED} {fault}").choice(moments)
    every = [pytest.param(fault, each, id=f"{fault}: {each.name}", marks=pytest.mark.faults) for each in moments]
    return pytest.mark.parametrize(("fault", "moment"), [pytest.param(fault, chosen, id=f"{fault}: one"), *every])
