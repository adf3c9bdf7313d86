"""The shared fixtures give what they promise."""

import smtplib
from email.message import EmailMessage
from typing import Any

import psycopg
import pytest

from sandbox.mail import MailBox


def test_database_is_fresh_and_empty(database: dict[str, Any]) -> None:
    with psycopg.connect(**database) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert tables == (0,)
        assert connection.execute("SELECT current_setting('data_checksums')").fetchone() == ("on",)


def test_bucket_keeps_what_is_written(s3_server: Any, bucket: str) -> None:
    assert "Contents" not in s3_server.client.list_objects_v2(Bucket=bucket)
    s3_server.client.put_object(Bucket=bucket, Key="a/b.txt", Body=b"text")
    assert s3_server.client.get_object(Bucket=bucket, Key="a/b.txt")["Body"].read() == b"text"


def _send(box: MailBox, subject: str, password: str) -> None:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = subject, "a@example.com", "b@example.com"
    mail.set_content("text")
    with smtplib.SMTP(box.host, box.port, timeout=5) as client:
        client.login(box.login, password)
        client.send_message(mail)


def test_mail_box_keeps_mails_in_order(mail_box: MailBox) -> None:
    for number in range(3):
        _send(mail_box, f"mail {number}", mail_box.password)
    assert [mail["Subject"] for mail in mail_box.mails()] == ["mail 0", "mail 1", "mail 2"]
    assert mail_box.mails()[0]["X-RcptTo"] == "b@example.com"


def test_mail_box_wants_the_login(mail_box: MailBox) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError):
        _send(mail_box, "wrong", "wrong password")
    with smtplib.SMTP(mail_box.host, mail_box.port, timeout=5) as client, pytest.raises(smtplib.SMTPException):
        client.sendmail("a@example.com", ["b@example.com"], "no login")
    assert mail_box.mails() == []
