"""The table of faults: what was broken, at which moment, how it ended. `make faults` prints it, whatever ran where."""

import pytest

_HEADS = ("fault", "moment", "outcome")


@pytest.fixture
def record(record_property):
    """Keep a line of the table: it travels with the test's report, from another process too."""

    def keep(*cells):
        for head, cell in zip(_HEADS, cells, strict=True):
            record_property(head, cell)

    return keep


def pytest_terminal_summary(terminalreporter, config):
    if config.option.markexpr != "faults":
        return
    lines = [
        tuple(str(dict(report.user_properties).get(head, "")) for head in _HEADS)
        for report in terminalreporter.stats.get("passed", [])
        if report.when == "call" and dict(report.user_properties).get("fault")
    ]
    if not lines:
        return
    widths = [max(len(line[column]) for line in [_HEADS, *lines]) for column in range(len(_HEADS))]
    terminalreporter.section("faults")
    for line in [_HEADS, *sorted(lines)]:
        terminalreporter.line("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
