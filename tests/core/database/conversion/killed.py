"""A conversion that kills its own process at a moment: `python -m tests.core.database.conversion.killed job.json`.

The moments are those of `tests.core.database.retention.killed`.
"""

import json
import sys
from pathlib import Path
from typing import Any

from tdev_operators.hooks.connections import ConnectionFacts
from tests.backup_sets import open_store
from tests.core.database.conversion.conftest import PARTITIONS, Conversion
from tests.core.database.retention.conftest import RULE
from tests.core.database.retention.killed import Moment, WatchedSource, WatchedStore


def main(job: dict[str, Any]) -> None:
    """Do the job."""
    moment = Moment(job["moment"])
    source = WatchedSource(ConnectionFacts(**job["facts"]))
    source.moment = moment
    rule = RULE.model_copy(update={"partitions": PARTITIONS})
    with open_store(*job["store"]) as store:
        world = Conversion(
            source, WatchedStore(store, moment), job["bucket"], None, rule=rule, pace={"batch_rows": 300}
        )
        world.carry_out(job["action"])


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
