"""What looks like a secret is not in what is kept."""

import pytest

from tdev_operators.core.masking import masked
from tdev_operators.core.security.audit.looks.readable_secrets import CANARY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Generation 7 made in 3 s", "Generation 7 made in 3 s"),
        ("postgresql://app:s3cret@db/t failed", "postgresql://app:***@db/t failed"),
        ('{"token": "abc def", "generation": 3}', '{"token": ***, "generation": 3}'),
        ("password=hunter2, user=ada", "password=***, user=ada"),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer ***"),
        ("key AKIAABCDEFGHIJKLMNOP is refused", "key *** is refused"),
        ("--api-key 12345 --verbose", "--api-key *** --verbose"),
    ],
)
def test_secrets_are_hidden_and_the_rest_stays(text, expected):
    assert masked(text) == expected


@pytest.mark.parametrize("planted", CANARY)
def test_every_form_that_the_audit_knows_is_hidden(planted):
    hidden = masked(f"before {planted} after")
    assert "***" in hidden
    assert planted not in hidden


def test_a_line_that_is_made_to_be_slow_is_not():
    assert len(masked("a://" * 50_000 + "token" * 50_000)) > 100
