"""`tdev backup verify`: reads back every byte that a set wrote."""

import json
import sys
from typing import TextIO

from tdev_operators import __version__
from tdev_operators.core.backup.cipher import Age, Cipher, Plain
from tdev_operators.core.backup.manifest import Attestation, Manifest, State
from tdev_operators.core.backup.readback import read_back
from tdev_operators.core.backup.repository import Repository
from tdev_operators.core.backup.set_records import SetOnDisk
from tdev_operators.core.errors import InputError, ProofFailedError
from tdev_operators.core.ports import utc_now
from tdev_operators.hooks.connections import ConnectionSource

AGE = "tdev_age"  # its password is the text of an age identity file


def verify(
    repository: Repository,
    found: SetOnDisk,
    connections: ConnectionSource,
    out: TextIO,
    *,
    attest: bool = False,
    as_json: bool = False,
) -> int:
    """Read a set back and print what was found; returns 0, or 1 when it is damaged. Progress goes to standard error.

    With `attest`, a set that is whole is recorded as READABLE. A damaged one keeps the attestations that it has: the
    verification in Airflow decides about those.

    Raises:
        InputError: the set is not complete.
        SetupMissingError: the set is encrypted, has copies of large objects, and there is no connection tdev_age.
    """
    if found.manifest is None:
        raise InputError(f"The set {found.set_id} is {State.STAGED}: without a manifest there is nothing to verify.")
    store, bucket, system, manifest = repository.store, repository.bucket, repository.system, found.manifest
    cipher = _cipher(manifest, connections)
    try:
        facts = read_back(
            store,
            bucket,
            system,
            manifest,
            cipher,
            lambda line: print(line, file=sys.stderr),
            lambda: None,
        )
    except ProofFailedError as error:
        told = {"set_id": found.set_id, "readable": False, "error": str(error)}
        print(json.dumps(told) if as_json else f"{found.set_id} is damaged: {error}", file=out)
        return 1
    if attest:
        repository.attest(
            Attestation(
                kind="readable",
                set_id=found.set_id,
                manifest_sha256=found.manifest_sha256,
                at=utc_now(),
                product_version=__version__,
                facts=facts,
            )
        )
    if as_json:
        print(json.dumps({"set_id": found.set_id, "readable": True, "facts": facts}), file=out)
    else:
        listed = ", ".join(f"{name} {value}" for name, value in facts.items())
        print(f"{found.set_id} can be read back whole: {listed}.", file=out)
    return 0


def _cipher(manifest: Manifest, connections: ConnectionSource) -> Cipher:
    """Return what opens the indexes; the identity is asked for only where one must be opened."""
    if manifest.encryption == "none" or not any(snapshot.copies for snapshot in manifest.buckets):
        return Plain()
    return Age(identities=connections.get(AGE).password)
