"""The documentation says what is."""

import re
from pathlib import Path

from tdev_operators.core.agents import check_names as agents
from tdev_operators.core.agents.passes import pass_names
from tdev_operators.core.backup.check_names import ABOUT
from tdev_operators.core.backup.database.digests import BLIND_SPOTS
from tdev_operators.core.backup.proof.mutants import MUTANTS
from tdev_operators.core.database import check_names
from tdev_operators.core.evolution.recovery import check_names as evolution_recovery
from tdev_operators.core.health.registry import all_checks
from tdev_operators.core.logs import check_names as logs
from tdev_operators.core.security import check_names as security

REPOSITORY = Path(__file__).resolve().parents[1]


def test_every_check_stands_on_its_page_with_what_it_is_about():
    page = (REPOSITORY / "docs" / "health-check.md").read_text(encoding="utf-8")
    for check in all_checks():
        star = "*" if check.doubtful else ""
        assert f"| `{check.name}`{star} | {check.about} | {', '.join(check.needs)} |" in page


def test_the_page_on_backups_says_what_the_product_says():
    page = (REPOSITORY / "docs" / "backup.md").read_text(encoding="utf-8")
    assert [spot for spot in BLIND_SPOTS if f"- {spot}\n" not in page] == []
    assert [name for name, about in ABOUT.items() if f"| `{name}` | {about} |\n" not in page] == []
    assert [mutant.name for mutant in MUTANTS if mutant.name not in page] == []


def test_every_result_of_the_databases_care_stands_on_its_page():
    pages = {"care": "database-care"}
    for name, about in check_names.ABOUT.items():
        area = name.partition(".")[0]
        page = REPOSITORY / "docs" / f"{pages.get(area, area)}.md"
        assert f"| `{name}` | {about} |" in page.read_text(encoding="utf-8")


def test_every_result_of_a_scan_stands_on_its_page():
    pages = [
        (REPOSITORY / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("security", "security-audit")
    ]
    assert [name for name, about in security.about().items() if f"| `{name}` | {about} |" not in "".join(pages)] == []


def test_every_result_of_a_recovery_of_the_evolution_stands_on_its_page():
    page = (REPOSITORY / "docs" / "evolution-recovery.md").read_text(encoding="utf-8")
    assert [name for name, about in evolution_recovery.ABOUT.items() if f"| `{name}` | {about} |" not in page] == []


def test_every_result_about_logs_stands_on_its_page():
    page = (REPOSITORY / "docs" / "logs.md").read_text(encoding="utf-8")
    assert [name for name, about in logs.ABOUT.items() if f"| `{name}` | {about} |" not in page] == []


def test_the_page_on_agents_says_what_is_reported_and_which_passes_there_are():
    page = (REPOSITORY / "docs" / "agents.md").read_text(encoding="utf-8")
    assert [name for name, about in agents.ABOUT.items() if f"| `{name}` | {about} |" not in page] == []
    assert [name for name in pass_names() if f"| `{name}` |" not in page] == []


def test_no_page_links_to_what_is_not_there():
    for page in [REPOSITORY / "README.md", REPOSITORY / "sandbox" / "README.md", *(REPOSITORY / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_command_of_the_makefile_that_the_readme_names_is_there():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for command in set(re.findall(r"`?make ([a-z-]+)", (REPOSITORY / "README.md").read_text(encoding="utf-8"))):
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), command
