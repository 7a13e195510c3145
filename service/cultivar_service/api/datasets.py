"""DatasetService: imports data sets and tells what they hold."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

from google.protobuf import json_format
from google.protobuf.empty_pb2 import Empty

from cultivar.v1 import dataset_pb2
from cultivar_contract import dataset_files, files, image_folder
from cultivar_contract.image_folder import UnusableFolder
from cultivar_contract.names import NAME_RULE, OutsideFolder, inside, is_name
from cultivar_contract.violations import Violation
from cultivar_service.api.fields import check_request_id
from cultivar_service.api.label_lists import check_label_lists, check_member
from cultivar_service.api.splitting import check_splitting
from cultivar_service.caller import Caller
from cultivar_service.catalog import datasets, uploads
from cultivar_service.catalog.database import Catalog
from cultivar_service.catalog.paging import PageRequest
from cultivar_service.catalog.references import dataset_not_found, parse_dataset, parse_upload
from cultivar_service.config import Config
from cultivar_service.datasets.imports import Imports
from cultivar_service.datasets.requests import import_request
from cultivar_service.datasets.upload_rules import finished_upload
from cultivar_service.errors import InvalidRequest, Unavailable, shown
from cultivar_service.trainers.calls import Calls, Done

logger = logging.getLogger(__name__)

BUILTINS = ("cifar10", "flowers102", "mnist", "procedural-flowers")
_MAX_CLASS_NAMES_BYTES = 4 << 20


class DatasetApi:
    """Answers DatasetService."""

    def __init__(self, config: Config, catalog: Catalog, imports: Imports, checks: Calls) -> None:
        self._config = config
        self._catalog = catalog
        self._imports = imports
        self._checks = checks

    async def create_dataset(self, request: dataset_pb2.CreateDatasetRequest, caller: Caller) -> dataset_pb2.Dataset:
        """Check what can be checked now and begin an import."""
        request_id = check_request_id(request.request_id)
        violations = []
        if not request.dataset_id:
            violations.append(Violation(field="dataset_id", message=f"is required: {NAME_RULE}"))
        elif not is_name(request.dataset_id):
            message = f"{shown(request.dataset_id)} can't be a name: {NAME_RULE}"
            violations.append(Violation(field="dataset_id", message=message))
        violations += await asyncio.to_thread(_check_source, request.source, self._config.datasets_root)
        if violations:
            raise InvalidRequest(violations)
        if request.source.HasField("upload"):
            await self._check_upload(request.source, caller)
        return await self._imports.create(request.dataset_id, request.source, request_id, creator=caller.name)

    async def get_dataset(self, request: dataset_pb2.GetDatasetRequest, _: Caller) -> dataset_pb2.Dataset:
        """Answer one data set, a version with its report."""
        found = await self._get(request.name)
        if found.state == dataset_pb2.DATASET_STATE_READY:
            reference = parse_dataset(found.name)
            folder = self._config.datasets / reference.dataset / str(reference.version)
            report = await asyncio.to_thread(_read_report, folder / dataset_files.REPORT)
            if report is not None:
                found.report.CopyFrom(report)
        return found

    async def check_dataset(
        self, request: dataset_pb2.CheckDatasetRequest, caller: Caller
    ) -> AsyncIterator[dataset_pb2.DatasetCheckUpdate]:
        """Answer how far a check is, and at last what it found."""
        source = request.source
        violations = await asyncio.to_thread(_check_source, source, self._config.datasets_root)
        if source.HasField("builtin"):
            message = f"{shown(source.builtin)} is no folder: only folders and uploads are checked, import it instead"
            violations = [Violation(field="source.builtin", message=message)]
        if violations:
            raise InvalidRequest(violations)
        if source.HasField("upload"):
            await self._check_upload(source, caller)
            await self._catalog.read(lambda connection: finished_upload(connection, source.upload, "source.upload"))
        task = await asyncio.to_thread(import_request, self._config, source)
        async with aclosing(
            self._checks.run(task, what=f"checking {shown(source.folder or source.upload)}")
        ) as updates:
            async for update in updates:
                if isinstance(update, Done):
                    yield dataset_pb2.DatasetCheckUpdate(report=_report(update))
                else:
                    yield dataset_pb2.DatasetCheckUpdate(progress=update)

    async def list_datasets(
        self, request: dataset_pb2.ListDatasetsRequest, _: Caller
    ) -> dataset_pb2.ListDatasetsResponse:
        """Answer a page of data sets."""
        wanted = PageRequest.parse(request.page_size, request.page_token, "datasets")
        page = await self._catalog.read(lambda connection: datasets.page(connection, wanted))
        return dataset_pb2.ListDatasetsResponse(datasets=page.items, next_page_token=page.next_token)

    async def delete_dataset(self, request: dataset_pb2.DeleteDatasetRequest, caller: Caller) -> Empty:
        """Delete a version or a failed import."""
        if parse_dataset(request.name).is_bare:
            raise InvalidRequest.at("name", f"{request.name!r} names no version: use datasets/NAME/versions/N")
        found = await self._get(request.name)
        caller.check_may_change(found.name, found.creator)
        await self._imports.delete(request.name)
        return Empty()

    async def _check_upload(self, source: dataset_pb2.DatasetSource, caller: Caller) -> None:
        upload_id = parse_upload(source.upload, "source.upload")
        source.upload = f"uploads/{upload_id}"
        found = await self._catalog.read(lambda connection: uploads.find(connection, upload_id))
        if found is not None:  # else the import that is asked for may be a repeated one, which consumed it
            caller.check_may_change(found.name, found.creator)

    async def _get(self, name: str) -> dataset_pb2.Dataset:
        reference = parse_dataset(name)
        found = await self._catalog.read(lambda connection: datasets.find(connection, reference))
        if found is None:
            raise dataset_not_found(name)
        return found


def _read_report(path: Path) -> dataset_pb2.DatasetReport | None:
    """Return what the import found; None where an older release wrote nothing of it, or it can't be read."""
    try:
        return json_format.ParseDict(files.read_json(path), dataset_pb2.DatasetReport(), ignore_unknown_fields=True)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, json_format.ParseError) as error:
        logger.warning("%s can't be read: %s", path, error)
        return None


def _report(done: Done) -> dataset_pb2.DatasetReport:
    try:
        return json_format.ParseDict(done.value, dataset_pb2.DatasetReport(), ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise Unavailable(
            "the trainer's report can't be read: check again", reason="TRAINER_LOST", retry_after_s=5
        ) from error


def _check_source(source: dataset_pb2.DatasetSource, root: Path) -> list[Violation]:
    """Tell what is wrong with a source. Reads folders, so it blocks."""
    kind = source.WhichOneof("source")
    violations = []
    if kind is None:
        violations.append(Violation(field="source", message="is required: set builtin, folder or upload"))
    elif kind == "builtin" and source.builtin not in BUILTINS:
        message = f"{shown(source.builtin)} is unknown: use one of {', '.join(BUILTINS)}"
        violations.append(Violation(field="source.builtin", message=message))
    elif kind == "folder":
        problem = _check_folder(source.folder, root, has_lists=bool(source.label_lists))
        if problem:
            violations.append(Violation(field="source.folder", message=f"{shown(source.folder)}: {problem}"))
    if source.class_names:
        problem = _check_class_names(kind, source.class_names, root)
        if problem:
            violations.append(Violation(field="source.class_names", message=f"{shown(source.class_names)}: {problem}"))
    return violations + check_splitting(source) + check_label_lists(source, root)


def _check_folder(relative: str, root: Path, *, has_lists: bool) -> str:
    if not relative:
        return "is empty: name a folder relative to the data sets root"
    try:
        folder = image_folder.Folder(inside(root, relative))
        if has_lists:
            folder.check()
        else:
            image_folder.scan(folder)
    except OutsideFolder:
        return "leads outside the data sets root, itself or through a link: name a folder below it"
    except UnusableFolder as error:
        return str(error)
    except OSError as error:
        return f"can't be read ({error.strerror}): check its permissions"
    return ""


def _check_class_names(kind: str | None, path: str, root: Path) -> str:
    match kind:
        case "builtin":
            return "only folders and uploads take one: leave it out"
        case "upload":
            return check_member(path)
    return _check_names(path, root)


def _check_names(relative: str, root: Path) -> str:
    try:
        path = inside(root, relative)
        if not path.is_file():
            return "there is no such file below the data sets root"
        if path.stat().st_size > _MAX_CLASS_NAMES_BYTES:
            return f"is larger than {_MAX_CLASS_NAMES_BYTES >> 20} MiB: name a JSON file of class names"
        names = json.loads(path.read_bytes())
    except OutsideFolder:
        return "leads outside the data sets root: name a file below it"
    except OSError as error:
        return f"can't be read ({error.strerror}): check its permissions"
    except (ValueError, RecursionError):
        return "is no JSON: write {class id: display name}"
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        return "is no JSON object of texts: write {class id: display name}"
    return ""
