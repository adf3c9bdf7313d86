"""Sources of agents: real, importable, varied Python files of a wanted size, the same for the same seed."""

from random import Random
from string import Template
from typing import NamedTuple

from sandbox.agent_blocks import BODIES, HELPERS, NOUNS, ROLES, UNUSED_IMPORTS, VERBS, Block

BYTES_A_KB = 1024
_TABLE_AT_MOST = 700
_UNUSED_IMPORTS_CHANCE = 0.4
_STYLES = ("module docstring", "comment", "nothing")


class AgentSource(NamedTuple):
    """An agent's name (unique for its number), what it can do, and its source."""

    name: str
    capabilities: tuple[str, ...]
    source: str


def agent_source(seed: str, number: int, size_bytes: int) -> AgentSource:
    """Return agent `number` with a source of about `size_bytes` (up to 50 bytes less, 1,000 at least)."""
    random = Random(f"{seed}/agent/{number}")
    noun, role, verb = random.choice(NOUNS), random.choice(ROLES), random.choice(VERBS)
    name = f"{noun}_{role.lower()}_{number:04}"
    unused = random.sample(UNUSED_IMPORTS, random.randint(1, 3)) if random.random() < _UNUSED_IMPORTS_CHANCE else []
    opening = _opening(random, name, noun, role)
    body = random.choice(BODIES)
    blocks, helpers = [body], list(HELPERS)
    random.shuffle(helpers)
    nouns = random.sample(NOUNS, len(helpers))
    texts = [_filled(body, random, noun, role, verb)]
    for helper, other in zip(helpers, nouns, strict=True):
        text = _filled(helper, random, other, role, verb)
        if _size(opening, [*blocks, helper], unused, [*texts, text]) <= size_bytes:
            blocks.append(helper)
            texts.append(text)
        elif size_bytes - _size(opening, blocks, unused, texts) < _TABLE_AT_MOST:
            break
    texts.append(_table(random, noun, size_bytes - _size(opening, blocks, unused, texts)))
    return AgentSource(name, (role.lower(), verb, noun), _joined(opening, blocks, unused, texts))


def _opening(random: Random, name: str, noun: str, role: str) -> str:
    match random.choice(_STYLES):
        case "module docstring":
            return f'"""{name}: a {role.lower()} for {noun} values, born in generation {random.randint(1, 900)}."""\n\n'
        case "comment":
            return f"# {name}\n# Written by the evolution engine; do not edit by hand.\n\n"
        case _:
            return ""


def _filled(block: Block, random: Random, noun: str, role: str, verb: str) -> str:
    return Template(block.code).substitute(
        noun=noun,
        Noun=noun.capitalize(),
        UPPER=noun.upper(),
        role=role.lower(),
        Role=role,
        verb=verb,
        f1=round(random.uniform(0.2, 0.9), 3),
        f2=round(random.uniform(0.05, 0.5), 3),
        f3=round(random.uniform(0.5, 2.0), 3),
        f4=round(random.uniform(0.1, 1.5), 3),
        n1=random.randint(8, 64),
        n2=random.randint(16, 40),
        n3=random.randint(2, 6),
    )


def _table(random: Random, noun: str, room: int) -> str:
    """Return a table of weights that fills the room as well as whole lines can."""
    head, foot = f"\n{noun.upper()}_WEIGHTS = {{\n", "}\n"
    room -= len(head) + len(foot) + 1  # the blank line before it
    lines: list[str] = []
    for word in random.sample(NOUNS, len(NOUNS)):
        line = f'    "{word}": {random.uniform(0, 1):.4f},\n'
        if room < len(line):
            break
        room -= len(line)
        lines.append(line)
    return "".join([head, *lines, foot]) if lines else ""


def _joined(opening: str, blocks: list[Block], unused: list[str], texts: list[str]) -> str:
    imports = sorted({line for block in blocks for line in block.imports} | set(unused))
    top = opening + "".join(f"{line}\n" for line in imports)
    return (top + "\n".join(text for text in texts if text)).lstrip("\n")


def _size(opening: str, blocks: list[Block], unused: list[str], texts: list[str]) -> int:
    return len(_joined(opening, blocks, unused, texts).encode())
