"""`[certificates]` of the settings: which are managed, how they are renewed, what is too weak."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from tdev_operators.core.ports import StartTls
from tdev_operators.core.setting_types import FilePath, Percent, Port, Positive, Seconds, Section, Text, refuse_twins

Argv = Annotated[tuple[Text, ...], Field(min_length=1)]

# Without a terminal these sleep for minutes before they begin, which looks like a hang.
_UNHURRIED = {"certbot": "--no-random-sleep-on-renew", "lego": "--no-random-sleep"}


class ManagedCertificate(Section):
    """`[[certificates.managed]]`: a certificate that is served under a name, its file, and who renews it.

    `renewal`: "command" by an ACME client on the host, "acm" by AWS, "itself" by somebody else, "none" by nobody.
    """

    name: Text
    port: Port = 443
    starttls: StartTls = ""
    renewal: Literal["none", "itself", "acm", "command"]
    host: str = ""
    file: FilePath | Literal[""] = ""
    key: FilePath | Literal[""] = ""
    renew: tuple[Text, ...] = ()
    reload: tuple[Text, ...] = ()
    arn: str = ""

    @property
    def title(self) -> str:
        """Name and port."""
        return f"{self.name}:{self.port}"

    @model_validator(mode="after")
    def _can_be_renewed(self) -> Self:
        needed = {"command": ("host", "file", "renew", "reload"), "acm": ("arn",)}.get(self.renewal, ())
        missing = [key for key in needed if not getattr(self, key)]
        if missing:
            raise ValueError(f"renewal = {self.renewal!r} needs {', '.join(needed)}; add {', '.join(missing)}")
        if bool(self.host) != bool(self.file):
            raise ValueError("host and file belong together; give both, or none of them")
        return self

    @field_validator("renew")
    @classmethod
    def _does_not_sleep(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        programs = {word.rpartition("/")[2] for word in argv}
        for program, flag in _UNHURRIED.items():
            if program in programs and "renew" in argv and flag not in argv:
                raise ValueError(f"{program} would sleep for some minutes before it begins; add {flag!r}")
        return argv


class CertificateSettings(Section):
    """`[certificates]`."""

    unattended_left_percent: Percent
    minimum_rsa_bits: Annotated[int, Field(ge=1024)]
    minimum_ec_bits: Annotated[int, Field(ge=160)]
    revocation: bool
    revocation_mb: Positive
    acm: bool
    minutes: Positive
    renew_seconds: Seconds
    served_seconds: Seconds
    read_file: Argv
    public_key: Argv
    is_there: Argv
    save_file: Argv
    restore_file: Argv
    remove_file: Argv
    managed: tuple[ManagedCertificate, ...] = ()

    @field_validator("managed")
    @classmethod
    def _are_told_apart(cls, managed: tuple[ManagedCertificate, ...]) -> tuple[ManagedCertificate, ...]:
        refuse_twins((entry.title.lower() for entry in managed), "name and port")
        return managed
