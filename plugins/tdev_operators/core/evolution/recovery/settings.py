"""`[evolution.recovery]`: what the evolution's engine is, how its recovery acts, and how long it waits."""

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from tdev_operators.core.setting_types import Count, FilePath, Positive, Seconds, Section, Text, UrlPath

_GENERATION, _CHECKPOINT, _SERVICE = "{generation}", "{checkpoint}", "{service}"
_TASK_SECONDS = 3.5 * 3600  # the task has four hours, and the rest of the recovery some minutes of them


class LeaseTable(Section):
    """`[evolution.recovery.lease]`: a table in which engines note who leads, one row each."""

    table: Text
    host_column: Text  # as the host's own `hostname` says it
    pid_column: Text


class EvolutionRecoverySettings(Section):
    """`[evolution.recovery]`."""

    service: Text  # of the services of [[hosts]]
    role: Text  # of the database: the engine logs in as it
    application: Text  # the engine's application_name there
    tables: Annotated[tuple[Text, ...], Field(min_length=1)]  # whose locks can hold the evolution up
    approve_restart: bool  # outside the maintenance window
    clear_sessions: bool
    stop_seconds: Seconds
    service_status: Annotated[tuple[Text, ...], Field(min_length=1)]
    errors_minutes: Annotated[float, Field(gt=0, le=24 * 60)]
    errors_pattern: Text  # a POSIX extended expression
    resume_path: UrlPath
    resume_body: dict[Text, str]
    running_states: Annotated[tuple[Text, ...], Field(min_length=1)]  # anything else was chosen by somebody
    checkpoint_key: Text
    checkpoint_generation: Text  # the keys of a checkpoint's JSON
    checkpoint_required: tuple[Text, ...]
    checkpoint_max_mb: Positive
    checkpoints_read: Annotated[int, Field(ge=1, le=200)]
    checkpoint_lead_generations: Count
    generations_to_see: Annotated[int, Field(ge=1, le=10)]
    generation_wait_seconds: Seconds
    lock_files: tuple[FilePath, ...] = ()  # on the service's hosts; each begins with the process id of who holds it
    lease: LeaseTable | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.checkpoint_key.count(_GENERATION) != 1:
            raise ValueError(f'checkpoint_key names no generation; write "{_GENERATION}" once, where its number stands')
        if not any(_CHECKPOINT in value for value in self.resume_body.values()):
            raise ValueError(f'resume_body names no checkpoint; write "{_CHECKPOINT}" where its key belongs')
        if not any(_SERVICE in word for word in self.service_status):
            raise ValueError(f'service_status names no service; write "{_SERVICE}" where its name belongs')
        if self.generations_to_see * self.generation_wait_seconds > _TASK_SECONDS:
            raise ValueError(
                "generations_to_see times generation_wait_seconds is more than the 3.5 hours that the task has; "
                "lower one of the two"
            )
        try:
            re.compile(self.errors_pattern)
        except re.error as error:
            raise ValueError(f"errors_pattern is no expression ({error}); mend it") from None
        return self

    def generation_of(self, key: str) -> int | None:
        """Return the generation whose checkpoint has this key; None when it is no checkpoint's."""
        before, _, after = self.checkpoint_key.partition(_GENERATION)
        found = re.fullmatch(f"{re.escape(before)}([0-9]{{1,18}}){re.escape(after)}", key)
        return int(found[1]) if found else None

    @property
    def checkpoint_prefix(self) -> str:
        """With what every checkpoint's key begins."""
        return self.checkpoint_key.partition(_GENERATION)[0]

    def body_for(self, checkpoint: str) -> dict[str, str]:
        """Return what is posted to resume from a checkpoint."""
        return {key: value.replace(_CHECKPOINT, checkpoint) for key, value in self.resume_body.items()}
