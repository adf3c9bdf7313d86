"""A test that needs a Debian program is skipped with a word at home, and fails where nothing may stay untested."""

import pytest

from tests.debian import needs_debian


def test_what_is_installed_lets_the_test_run() -> None:
    needs_debian("dash", "/bin/sh")


def test_at_home_it_is_skipped_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="NOT RUN: apt-get install frobnicate"):
        needs_debian("frobnicate", "/usr/sbin/frobnicate")


def test_in_ci_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="NOT RUN: apt-get install frobnicate"):
        needs_debian("frobnicate", "/usr/sbin/frobnicate")
