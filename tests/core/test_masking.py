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
        (r'{"body": "{\"password\": \"hunter2\", \"n\": 3}"}', r'{"body": "{\"password\": ***, \"n\": 3}"}'),
        (r"{\\\"token\\\": \\\"a\\\\\\\"b\\\", \\\"n\\\": 3}", r"{\\\"token\\\": ***, \\\"n\\\": 3}"),
        ("postgres://u:pa/ss@h/db failed", "postgres://u:***@h/db failed"),
        ("postgres://u:p@ss@h/db and a@b", "postgres://u:***@h/db and a@b"),
        (
            "see https://docs.example.com/a/b and mail@example.com",
            "see https://docs.example.com/a/b and mail@example.com",
        ),
        ("key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY is refused", "key *** is refused"),
        ("commit a94a8fe5ccb19ba61c4c0873d391e987982fbbd3", "commit a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"),
        ("Authorization: 0123abcd", "Authorization: ***"),
        ("authorization=Token 0123abcd, user=ada", "authorization=***, user=ada"),
        ('{"Authorization": "Basic 0123", "n": 3}', '{"Authorization": ***, "n": 3}'),
        (r'db_pass: "a\"bcdef" and on', "db_pass: *** and on"),
        (r"secret='it\'s this' and on", "secret=*** and on"),
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
    for piece in ('token=\\\\"', "a://b:c", "aB1/" * 9, 'pass="\\\\', "authorization: ", "\\\\"):
        assert masked(piece * 3_000)
