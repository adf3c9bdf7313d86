"""Renewing a certificate by a command on its host: saved, renewed, inspected, reloaded, and proven to be served.

The exit status of the ACME client is not believed: the file has to hold another certificate, for the same name, that
fits its key. The exit status of the reload is not believed either: every address that answers has to serve the new
serial number. Until then the former files stand beside the new ones, and they go back when the new one cannot be used.

Where a try was killed, its copies say how far it came. A copy appears whole or not at all:

    certificate and key      the client was told, or not yet: the files say whether it has renewed
    the certificate's alone  it died while saving, or while tidying up: nothing depends on the copy
    the key's alone          it died on the way back: the key goes back, too, unless the one in place fits
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from tdev_operators.core.certificates.ends import End, Looked, Served, look
from tdev_operators.core.certificates.lifetime import Life
from tdev_operators.core.certificates.ports import CertificatePorts
from tdev_operators.core.certificates.reading import covers, filled, key_fits, read_file, short
from tdev_operators.core.certificates.settings import CertificateSettings, ManagedCertificate
from tdev_operators.core.errors import CommandFailedError, InputError, PermanentError, ProofFailedError, TdevError
from tdev_operators.core.health.findings import OF_THE_TARGET
from tdev_operators.core.ports import CommandOutput, Host
from tdev_operators.core.settings import Settings

_COPY, _UNFINISHED = "tdev-before", "part"
_POLL_SECONDS = 0.5
_COMPLAINT = 300


@dataclass(frozen=True, slots=True)
class Renewed:
    """A renewal that is served: the serial numbers before and after."""

    before: int
    after: int

    @property
    def sentence(self) -> str:
        """For people."""
        return f"Renewed: serial …{short(self.before)} before, …{short(self.after)} is served now."


class Renewal:
    """One certificate's renewal by a command. `note` journals what touches the host, before it does.

    Unless it is `forced`, a file that is not due is only brought to be served.
    """

    def __init__(
        self,
        ports: CertificatePorts,
        settings: Settings,
        entry: ManagedCertificate,
        *,
        forced: bool = False,
        note: Callable[[str, Mapping[str, Any]], None],
        progress: Callable[[str], object],
        check: Callable[[], None],
    ) -> None:
        """Name things; nothing is touched.

        Raises:
            InputError: the host is none of the settings'.
        """
        if entry.host not in ports.system.hosts:
            raise InputError(f"{entry.title} is on {entry.host!r}; name one of [[hosts]] in certificates.managed.")
        self._host: Host = ports.system.hosts[entry.host]
        self._ports, self._entry, self._forced = ports, entry, forced
        self._rules: CertificateSettings = settings.certificates
        self._limits = settings.health.security
        self._note, self._progress, self._check = note, progress, check
        self._files = [entry.file, *([entry.key] if entry.key else [])]
        self._end = End(entry.name, entry.port, entry.starttls)
        self._saved: x509.Certificate | None = None

    @property
    def is_half_done(self) -> bool:
        """Whether an earlier try was killed on its way."""
        return any(self._is_there(_copy_of(file)) for file in self._files)

    def carry_out(self) -> Renewed | None:
        """Renew it, or end what an earlier try began; None when there was nothing left to do.

        Raises:
            ProofFailedError: the new one cannot be used, and the former files are back; or it is not served.
            CommandFailedError: the client renewed nothing; the former one is served.
            TransientError: the host is away; the next try goes on. InputError: a file cannot be read.
        """
        before, well = self._begun()
        if self._is_untouched(before):
            if self._forced or Life.of(before, self._ports.system.clock()).is_due(self._limits):
                self._check()
                self._renew(before)
            else:
                unserved = self._served_instead_of(before)
                if unserved is None:
                    self._tidy_up()
                    return None
                before = unserved
        after = self._inspected(before)
        self._check()
        self._reload(after)
        self._prove(before, after, well)
        self._tidy_up()
        self._note("certificate_renewed", {"certificate": self._entry.title, "serial": f"{after.serial_number:x}"})
        return Renewed(before.serial_number, after.serial_number)

    def _begun(self) -> tuple[x509.Certificate, Callable[[str], bool]]:
        """Save the files unless an earlier try has.

        Return the certificate as it was, and which addresses served well before: of a try that was killed they all
        did, as long as that certificate was good.
        """
        saved = [file for file in self._files if self._is_there(_copy_of(file))]
        if saved == self._files:
            self._progress(f"{self._entry.title}: an earlier try was killed on its way; going on with it")
            self._saved = before = read_file(self._host, self._rules, _copy_of(self._entry.file))[0]
            good = before.not_valid_after_utc > self._ports.system.clock()
            return before, lambda _: good
        if saved == [self._entry.file]:
            self._must(self._rules.remove_file, self._entry.file)
        elif saved:
            self._key_back()
        self._saved = before = self._current()
        answers = self._look().served
        well = frozenset(address for address, one in answers.items() if not one.refusal)
        self._note(
            "certificate_renewal",
            {
                "certificate": self._entry.title,
                "host": self._host.name,
                "serial": f"{before.serial_number:x}",
                "way_back": [_copy_of(file) for file in self._files],
            },
        )
        for file in self._files:
            copy = _copy_of(file)
            self._must(self._rules.save_file, file, copy=f"{copy}.{_UNFINISHED}")
            self._must(self._rules.restore_file, copy, copy=f"{copy}.{_UNFINISHED}")
        return before, well.__contains__

    def _key_back(self) -> None:
        """End a way back that was cut off after the certificate; a key that fits what is there stays."""
        if self._fits(self._current()):
            self._must(self._rules.remove_file, self._entry.key)
            return
        self._must(self._rules.restore_file, self._entry.key)
        self._run(self._entry.reload)

    def _is_untouched(self, before: x509.Certificate) -> bool:
        """Whether the file holds what it held; one that cannot be read is what a client left that died."""
        try:
            return self._current() == before
        except PermanentError:
            return False

    def _renew(self, before: x509.Certificate) -> None:
        self._progress(f"{self._entry.title}: {self._entry.renew[0]} was told to renew it")
        ended = self._run(self._entry.renew, seconds=self._rules.renew_seconds)
        if not self._is_untouched(before):
            return  # whatever it is, it is inspected
        why = (
            f"{self._entry.renew[0]} on {self._host.name} ended with status {ended.exit_status} and renewed nothing"
            f"{_said(ended)}"
        )
        if not self._fits(before):
            self._go_back(f"{why}, but for the key.")
        self._tidy_up()
        raise CommandFailedError(f"{why}; the former certificate stays. See its log.")

    def _served_instead_of(self, on_disk: x509.Certificate) -> x509.Certificate | None:
        """Return what some address serves although the file holds another."""
        return next((one.leaf for one in self._look().served.values() if one.leaf != on_disk), None)

    def _inspected(self, before: x509.Certificate) -> x509.Certificate:
        """Return the new certificate; what cannot be used goes, before any server reads it."""
        try:
            chain = read_file(self._host, self._rules, self._entry.file)
            why = self._fault_of(chain, before)
        except PermanentError as error:
            why = str(error)
        if why:
            self._go_back(f"The new certificate of {self._entry.title} cannot be used: {why.rstrip('.')}.")
        return chain[0]

    def _fault_of(self, chain: tuple[x509.Certificate, ...], before: x509.Certificate) -> str:
        leaf, now = chain[0], self._ports.system.clock()
        if not covers(leaf, self._entry.name):
            return f"it is not for {self._entry.name}"
        if not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
            return f"it is valid from {leaf.not_valid_before_utc:%Y-%m-%d} to {leaf.not_valid_after_utc:%Y-%m-%d}"
        if leaf.not_valid_after_utc <= before.not_valid_after_utc:
            return f"it ends on {leaf.not_valid_after_utc:%Y-%m-%d}, no later than the former one"
        for below, above in pairwise(chain):
            try:
                below.verify_directly_issued_by(above)
            except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
                return f"its chain is broken ({type(error).__name__})"
        if self._entry.key and not key_fits(self._host, self._rules, self._entry.key, leaf):
            return f"the key {self._entry.key} is not its key"
        return ""

    def _reload(self, after: x509.Certificate) -> None:
        if _all_serve(self._look(), after):
            return  # by an earlier try, or by a server that reads its file itself
        ended = self._run(self._entry.reload)
        self._progress(
            f"{self._entry.title}: {self._entry.reload[0]} ended with status {ended.exit_status}{_said(ended)}"
        )

    def _prove(self, before: x509.Certificate, after: x509.Certificate, well: Callable[[str], bool]) -> None:
        deadline = time.monotonic() + self._rules.served_seconds
        while True:
            looked = self._look()
            harmed = _harmed(looked, after, well)
            if not harmed and _all_serve(looked, after):
                return
            if time.monotonic() >= deadline:
                break
            self._check()
            time.sleep(_POLL_SECONDS)
        if harmed:
            why = "; ".join(f"{address}: {one.rstrip('.')}" for address, one in harmed.items())
            self._go_back(f"With the new certificate {self._entry.title} is refused ({why}).", reload=True)
        old = [address for address, one in looked.served.items() if one.leaf != after]
        if old:
            self._tidy_up()
            raise ProofFailedError(
                f"{self._entry.title} was renewed on {self._host.name}, and {', '.join(old)} still serves serial "
                f"…{short(looked.served[old[0]].leaf.serial_number)} instead of …{short(after.serial_number)} (before: "
                f"…{short(before.serial_number)}); reload what serves it."
            )
        refused = [one.refusal for one in looked.served.values() if one.refusal]
        why = "; ".join([*refused, looked.unresolved]).strip("; ") or "no address answers"
        raise ProofFailedError(
            f"{self._entry.title} was renewed on {self._host.name}, and nobody could see that it is served well "
            f"({why}); look at it. The next run looks again."
        )

    def _go_back(self, why: str, *, reload: bool = False) -> None:
        """Put the former files back and look whether they are; always raises."""
        self._note("certificate_way_back", {"certificate": self._entry.title, "why": why})
        self._progress(f"{why} The former files go back.")
        for file in self._files:
            self._must(self._rules.restore_file, file)
        if not (self._saved and self._is_untouched(self._saved) and self._fits(self._saved)):
            raise ProofFailedError(
                f"{why} The former files could not be put back whole: a client may have written through a link. See "
                f"{' and '.join(self._files)} on {self._host.name} before anything is reloaded."
            )
        if not reload:
            raise ProofFailedError(f"{why} The former files are back, and nothing else was ever served.")
        self._run(self._entry.reload)
        served = self._look().served
        if served and not any(one.refusal for one in served.values()):
            raise ProofFailedError(f"{why} The former files are back, and the former certificate is served.")
        raise ProofFailedError(f"{why} The former files are back, and it is refused all the same: look now.")

    def _fits(self, certificate: x509.Certificate) -> bool:
        """Whether the key in place is a certificate's; where no key is given nobody can say, and it is taken so."""
        if not self._entry.key:
            return True
        try:
            return key_fits(self._host, self._rules, self._entry.key, certificate)
        except PermanentError:
            return False

    def _look(self) -> Looked:
        return look(self._ports.system, [self._end])[self._end]

    def _current(self) -> x509.Certificate:
        return read_file(self._host, self._rules, self._entry.file)[0]

    def _tidy_up(self) -> None:
        # The key's copy first, and nothing after a failure: alone it would say that a way back was cut off.
        with suppress(TdevError):  # the next renewal finds it
            for file in reversed(self._files):
                self._must(self._rules.remove_file, file)

    def _is_there(self, copy: str) -> bool:
        return self._run(self._rules.is_there, copy=copy).exit_status == 0

    def _must(self, argv: tuple[str, ...], file: str, *, copy: str = "") -> None:
        ended = self._run(argv, file, copy=copy or _copy_of(file))
        if ended.exit_status != 0:
            raise CommandFailedError(
                f"{argv[0]} on {self._host.name} ended with status {ended.exit_status}{_said(ended)}; "
                f"see the rights on {file}, and the room there."
            )

    def _run(self, argv: tuple[str, ...], file: str = "", *, copy: str = "", seconds: float = 60.0) -> CommandOutput:
        places = {"file": file or self._entry.file, "copy": copy, "key": self._entry.key}
        return self._host.run(filled(argv, **places), timeout_seconds=seconds)


def _copy_of(file: str) -> str:
    return f"{file}.{_COPY}"


def _all_serve(looked: Looked, certificate: x509.Certificate) -> bool:
    """Whether every address that answers serves it, and a careful client takes it. The others are told elsewhere."""
    served = looked.served.values()
    return bool(served) and all(one.leaf == certificate and not one.refusal for one in served)


def _harmed(looked: Looked, after: x509.Certificate, well: Callable[[str], bool]) -> dict[str, str]:
    """Return the addresses that served well before and, with the new certificate, do not; and why."""
    found = {}
    for address, answer in looked.answers.items():
        if not well(address):
            continue
        if isinstance(answer, Served):
            if answer.refusal and answer.leaf == after:
                found[address] = answer.refusal
        elif isinstance(answer, OF_THE_TARGET):
            found[address] = str(answer)
    return found


def _said(ended: CommandOutput) -> str:
    text = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
    return f" ({text[-1][:_COMPLAINT]})" if text else ""
