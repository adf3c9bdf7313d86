"""The review: every look once (guide: Evolution metrics review)."""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tdev_operators.core.evolution.review.looks import all_looks
from tdev_operators.core.evolution.review.reading import Review
from tdev_operators.core.items import ItemOutcome
from tdev_operators.core.ledger import ItemStore
from tdev_operators.core.looks import Look, take_all, with_causes

if TYPE_CHECKING:
    from tdev_operators.core.ports import SystemPorts
    from tdev_operators.core.settings import Settings

_log = logging.getLogger(__name__)


def review_evolution(
    system: "SystemPorts",
    ledger: ItemStore,
    settings: "Settings",
    *,
    progress: Callable[[str], object] = _log.info,
    looks: Sequence[Look[Review]] | None = None,
) -> ItemOutcome:
    """Take every look (or those given) that is in scope; one that raises is UNKNOWN and the others go on.

    Reads the database only; what later reviews compare with is kept in the ledger.
    """
    looks = all_looks() if looks is None else looks
    review = Review(system, settings, ledger, system.clock())
    results, out_of_scope = take_all(looks, review, settings, progress)
    return ItemOutcome(with_causes(results), review.at, system.clock(), out_of_scope)
