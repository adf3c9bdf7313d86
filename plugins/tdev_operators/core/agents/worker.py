"""A process that makes agents smaller: what `workers` starts, once a core. It holds no connection and no key.

It says first what it lacks, or which barriers hold, and then answers one agent a line.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from tdev_operators.core.agents.confinement.barriers import Limits
from tdev_operators.core.agents.confinement.house import House
from tdev_operators.core.agents.ladder import Goal, Optimised, optimise
from tdev_operators.core.agents.pass_limits import limit_memory
from tdev_operators.core.agents.passes import pass_of
from tdev_operators.core.agents.settings import OptimiserSettings
from tdev_operators.core.errors import TdevError


def house_of(rules: OptimiserSettings) -> House:
    """Return the confinement that the settings ask for."""
    limits = rules.confinement
    allowed = Limits(limits.cpu_seconds, limits.wall_seconds, limits.memory_mb, limits.output_kb * 1024)
    return House(allowed, libraries=limits.library_folders)


def main() -> None:
    """Serve until standard input ends."""
    asked: Mapping[str, Any] = json.loads(sys.stdin.readline())
    rules = OptimiserSettings.model_validate_json(asked["rules"], strict=False)
    goal = Goal(**asked["goal"])
    for name in rules.passes:
        if why := pass_of(name).lacks():
            _say({"lacks": f"The pass {name} cannot be applied here ({why}); install what it is made of."})
            return
    limit_memory()
    with house_of(rules) as house:
        held = house.probe()
        _say({"broken": dict(held.broken), "made_of": held.made_of})
        if held.missing:
            return
        for line in sys.stdin:
            _say(_optimised(house, json.loads(line)["source"], rules, goal).to_json())


def _optimised(house: House, source: str, rules: OptimiserSettings, goal: Goal) -> Optimised:
    try:
        return optimise(house, source, rules, goal)
    except TdevError:
        raise  # the confinement is broken: this process ends, and another one begins
    except Exception as error:  # noqa: BLE001  one agent must not cost the others
        return Optimised(None, f"what tries it broke: {type(error).__name__}", untried=True)


def _say(words: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
