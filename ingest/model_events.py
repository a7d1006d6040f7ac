"""The events of registered models and their versions. Facts in the past tense; schemas only grow.

All travel in the topic of the registry, in one total order, and their subject is the id of a registered model: made by
whoever creates it, and the same through every renaming. A version has an id of its own (`version_id`), made by its
writer too; the fold gives it its number. So a trainer can register a model, put an alias on the version and go on,
without asking a server for either.
"""

from __future__ import annotations

import msgspec
from headrace.ingest.envelope import Int64
from headrace.ingest.event import Event

PENDING, READY, FAILED = "PENDING_REGISTRATION", "READY", "FAILED_REGISTRATION"
VERSION_STATUSES = (PENDING, FAILED, READY)


# --- registered models ------------------------------------------------------------------------------------------------


class RegisteredModelCreated(Event, frozen=True):
    """A registered model was asked for; the first to use a name gets it.

    if_absent: the asker only needs it to exist; later events of this subject are then about the model that has the
    name already.
    """

    name: str
    description: str = ""
    tags: dict[str, str] = {}
    if_absent: bool = False


class RegisteredModelRenamed(Event, frozen=True):
    """A registered model has another name, its versions with it."""

    name: str


class RegisteredModelDescribed(Event, frozen=True):
    """The description of a registered model was set."""

    description: str


class RegisteredModelTagsSet(Event, frozen=True):
    """Tags of a registered model were set."""

    tags: dict[str, str]


class RegisteredModelTagsDeleted(Event, frozen=True):
    """Tags of a registered model were taken away."""

    keys: list[str]


class RegisteredModelDeleted(Event, frozen=True):
    """A registered model was deleted, its versions with it; its name is free."""


class RegisteredModelErased(Event, frozen=True):
    """The tombstone of a registered model that was deleted. subjects: all that were about it, its own id among them."""

    subjects: list[str]


class AliasSet(Event, frozen=True):
    """An alias points to a version, whatever it pointed to before."""

    alias: str
    version_id: str


class AliasDeleted(Event, frozen=True):
    """An alias was taken away."""

    alias: str


class CommentCreated(Event, frozen=True):
    """Somebody commented on a registered model, or on one of its versions where version_id is not empty."""

    comment_id: str
    comment: str
    version_id: str = ""


class CommentUpdated(Event, frozen=True):
    """The text of a comment was changed."""

    comment_id: str
    comment: str


class CommentDeleted(Event, frozen=True):
    """A comment was taken away."""

    comment_id: str


# --- versions ---------------------------------------------------------------------------------------------------------


class DatasetUsed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A data set that the run of a version read. context: for what, such as training."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    context: str = ""


class ModelVersionCreated(Event, frozen=True):
    """A version of a registered model was made. The fold gives it the number after the highest there ever was.

    source: the URI it was made from. storage_location: where its files lie; empty for the source itself.
    run_id: the run that made the model; run_link: its page elsewhere. model_id: the logged model.
    datasets, code: what that run read, and its tags `mlflow.source.*` and `mlflow.project.*`.
    user_id: who made it; empty for the envelope's actor.
    status: one of VERSION_STATUSES; status_message: what is worth knowing of it. digest: of its files
    (`headrace.ingest.digests`), where it is READY and the files were within reach; files, file_bytes: how many they
    were.
    version: the number it must get, for a copy of another registry; 0 for the next. Refused if it is not above all.
    """

    version_id: str
    source: str
    storage_location: str = ""
    run_id: str = ""
    run_link: str = ""
    model_id: str = ""
    description: str = ""
    tags: dict[str, str] = {}
    datasets: list[DatasetUsed] = []
    code: dict[str, str] = {}
    user_id: str = ""
    status: str = PENDING
    status_message: str = ""
    digest: str = ""
    files: Int64 = 0
    file_bytes: Int64 = 0
    version: Int64 = 0


class ModelVersionFinalized(Event, frozen=True):
    """The registering of a version came to an end. The first such event of a version holds.

    status: READY or FAILED_REGISTRATION. message: why, or what is worth knowing. digest: of its files, empty where
    they are out of the server's reach; files, file_bytes: how many they were. storage_location: where they lie, empty
    where that is known already.
    """

    version_id: str
    status: str
    digest: str = ""
    message: str = ""
    files: Int64 = 0
    file_bytes: Int64 = 0
    storage_location: str = ""


class ModelVersionDescribed(Event, frozen=True):
    """The description of a version was set."""

    version_id: str
    description: str


class ModelVersionTagsSet(Event, frozen=True):
    """Tags of a version were set."""

    version_id: str
    tags: dict[str, str]


class ModelVersionTagsDeleted(Event, frozen=True):
    """Tags of a version were taken away."""

    version_id: str
    keys: list[str]


class ModelVersionDeleted(Event, frozen=True):
    """A version was deleted, its aliases with it. Its number is not given again."""

    version_id: str


# --- stages -----------------------------------------------------------------------------------------------------------


class StagesSet(Event, frozen=True):
    """The stages between None and Archived that versions can be in, in the order in which they are passed.

    Its subject is `stages`. Refused when a version is in a stage that is not there any more.
    """

    stages: list[str]


class StageTransitioned(Event, frozen=True):
    """A version is in another stage. comment: why.

    archive_existing: the versions that were in that stage are Archived from the same moment.
    """

    version_id: str
    stage: str
    archive_existing: bool = False
    comment: str = ""


class TransitionRequested(Event, frozen=True):
    """Somebody asks that a version be in another stage. comment: why."""

    request_id: str
    version_id: str
    stage: str
    comment: str = ""


class TransitionApproved(Event, frozen=True):
    """A request was granted: the version is in that stage. Other requests for the same are granted with it."""

    request_id: str
    archive_existing: bool = False
    comment: str = ""


class TransitionRejected(Event, frozen=True):
    """A request was turned down. comment: why."""

    request_id: str
    comment: str = ""


class TransitionWithdrawn(Event, frozen=True):
    """A request was taken back. comment: why."""

    request_id: str
    comment: str = ""


STAGES_SUBJECT = "stages"

TYPES: dict[str, type[Event]] = {
    "headrace.registered-model.created": RegisteredModelCreated,
    "headrace.registered-model.renamed": RegisteredModelRenamed,
    "headrace.registered-model.described": RegisteredModelDescribed,
    "headrace.registered-model.tags-set": RegisteredModelTagsSet,
    "headrace.registered-model.tags-deleted": RegisteredModelTagsDeleted,
    "headrace.registered-model.deleted": RegisteredModelDeleted,
    "headrace.registered-model.erased": RegisteredModelErased,
    "headrace.registered-model.alias-set": AliasSet,
    "headrace.registered-model.alias-deleted": AliasDeleted,
    "headrace.registered-model.comment-created": CommentCreated,
    "headrace.registered-model.comment-updated": CommentUpdated,
    "headrace.registered-model.comment-deleted": CommentDeleted,
    "headrace.model-version.created": ModelVersionCreated,
    "headrace.model-version.finalized": ModelVersionFinalized,
    "headrace.model-version.described": ModelVersionDescribed,
    "headrace.model-version.tags-set": ModelVersionTagsSet,
    "headrace.model-version.tags-deleted": ModelVersionTagsDeleted,
    "headrace.model-version.deleted": ModelVersionDeleted,
    "headrace.model-version.stage-transitioned": StageTransitioned,
    "headrace.model-version.transition-requested": TransitionRequested,
    "headrace.model-version.transition-approved": TransitionApproved,
    "headrace.model-version.transition-rejected": TransitionRejected,
    "headrace.model-version.transition-withdrawn": TransitionWithdrawn,
    "headrace.registry.stages-set": StagesSet,
}
