"""How requests name things: `flowers`, `models/flowers/versions/3`, `trainingJobs/<id>`. Read in this one place."""

import re
from dataclasses import dataclass

from cultivar_contract.names import is_name
from cultivar_service.errors import InvalidRequest, NotFound, required, shown

LIVE = "live"
"""The alias that answers for a model's bare name."""

_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_ID = re.compile(r"[a-z0-9-]{1,64}")
_JOB_REMEDY = "`cultivar jobs list` shows those that do"
_MODEL_REMEDY = "`cultivar models list` shows those that do"
_DATASET_REMEDY = "`cultivar datasets list` shows those that do"
_STUDY_REMEDY = "ListTrainingStudies shows those that do"
_UPLOAD_REMEDY = "it may have expired, or an import consumed it: upload again"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelReference:
    """A model, or one version of it."""

    model: str
    """Bare name."""
    version: int | None = None
    """The version's number; None: an alias decides."""
    alias: str = LIVE
    """Which one, where no version is named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetReference:
    """A data set, one version of it, or one import."""

    dataset: str
    """Bare name."""
    version: int | None = None
    """The version's number."""
    import_id: str = ""
    """The import's identifier."""

    @property
    def is_bare(self) -> bool:
        """Whether it names neither a version nor an import."""
        return self.version is None and not self.import_id


def parse_job(text: str, field: str = "name") -> str:
    """Return a job's identifier.

    Raises:
        InvalidRequest, NotFound: the text is empty, or names no job that could be.
    """
    identifier = required(text, field).removeprefix("trainingJobs/")
    if not _ID.fullmatch(identifier):
        raise job_not_found(text, field)
    return identifier


def parse_study(text: str, field: str = "name") -> str:
    """Return a study's identifier.

    Raises:
        InvalidRequest, NotFound: the text is empty, or names no study that could be.
    """
    identifier = required(text, field).removeprefix("trainingStudies/")
    if not _ID.fullmatch(identifier):
        raise study_not_found(text, field)
    return identifier


def parse_model(text: str, field: str = "name") -> ModelReference:
    """Read `flowers`, `flowers@live`, `flowers/versions/3`, each with or without `models/` before it.

    Raises:
        InvalidRequest, NotFound: the text is empty, or names no model that could be.
    """
    match required(text, field).removeprefix("models/").split("/"):
        case [name] if is_name(name):
            return ModelReference(model=name)
        case [name] if is_name(name.partition("@")[0]) and is_name(name.partition("@")[2]):
            return ModelReference(model=name.partition("@")[0], alias=name.partition("@")[2])
        case [name, "versions", version] if is_name(name) and _VERSION.fullmatch(version):
            return ModelReference(model=name, version=int(version))
    raise model_not_found(text, field)


def parse_version(text: str, field: str = "name") -> tuple[str, int]:
    """Read a model version's name, which must name the version itself.

    Raises:
        InvalidRequest, NotFound: it names a whole model, or nothing that could be.
    """
    reference = parse_model(text, field)
    if reference.version is None:
        raise InvalidRequest.at(field, f"{text!r} names no version: use {reference.model}/versions/N")
    return reference.model, reference.version


def name_of_version(text: str, version: str, *, field: str, version_field: str) -> tuple[str, str]:
    """Return what a model's name and a version's number, each in a field, name together; and the field to blame.

    Raises:
        InvalidRequest: the version is no number, or another than the name says.
    """
    if not version:
        return text, field
    if not _VERSION.fullmatch(version):
        raise InvalidRequest.at(
            version_field, f"{shown(version)} is no version's number: use one such as '3', or leave it out"
        )
    reference = parse_model(text, field)
    if reference.version not in (None, int(version)) or reference.alias != LIVE:
        raise InvalidRequest.at(version_field, f"{version} is not what {shown(text)} names: leave one of the two out")
    return f"{reference.model}/versions/{version}", version_field


def parse_dataset(text: str, field: str = "name") -> DatasetReference:
    """Read `flowers`, `flowers/versions/2` or `flowers/imports/<id>`, each with or without `datasets/` before it.

    Raises:
        InvalidRequest, NotFound: the text is empty, or names no data set that could be.
    """
    match required(text, field).removeprefix("datasets/").split("/"):
        case [name] if is_name(name):
            return DatasetReference(dataset=name)
        case [name, "versions", version] if is_name(name) and _VERSION.fullmatch(version):
            return DatasetReference(dataset=name, version=int(version))
        case [name, "imports", identifier] if is_name(name) and _ID.fullmatch(identifier):
            return DatasetReference(dataset=name, import_id=identifier)
    raise dataset_not_found(text, field)


def parse_upload(text: str, field: str = "name") -> str:
    """Return an upload's identifier.

    Raises:
        InvalidRequest, NotFound: the text is empty, or names no upload that could be.
    """
    identifier = required(text, field).removeprefix("uploads/")
    if not _ID.fullmatch(identifier):
        raise upload_not_found(text, field)
    return identifier


def is_version(text: str) -> bool:
    """Tell whether this is how a version's number is written."""
    return _VERSION.fullmatch(text) is not None


def job_not_found(text: str, field: str = "name") -> NotFound:
    """Make the error for a job that does not exist."""
    return NotFound("training job", text, field=field, remedy=_JOB_REMEDY)


def study_not_found(text: str, field: str = "name") -> NotFound:
    """Make the error for a study that does not exist."""
    return NotFound("training study", text, field=field, remedy=_STUDY_REMEDY)


def model_not_found(text: str, field: str = "name") -> NotFound:
    """Make the error for a model or version that does not exist."""
    return NotFound("model version" if "/versions/" in text else "model", text, field=field, remedy=_MODEL_REMEDY)


def dataset_not_found(text: str, field: str = "name") -> NotFound:
    """Make the error for a data set that does not exist."""
    return NotFound("data set", text, field=field, remedy=_DATASET_REMEDY)


def upload_not_found(text: str, field: str = "name") -> NotFound:
    """Make the error for an upload that does not exist."""
    return NotFound("upload", text, field=field, remedy=_UPLOAD_REMEDY)
