"""What a trainer is asked to do with a data set's source."""

from google.protobuf import json_format

from cultivar.v1 import dataset_pb2
from cultivar_contract.names import OutsideFolder, inside
from cultivar_contract.tasks import ImportRequest
from cultivar_service.catalog.references import parse_upload
from cultivar_service.config import Config
from cultivar_service.errors import InvalidRequest


def import_request(config: Config, source: dataset_pb2.DatasetSource) -> ImportRequest:
    """Return the request of an import or a check. Blocks.

    Raises:
        InvalidRequest: its folder leads outside the data sets root.
    """
    root = config.datasets_root
    try:
        # Checked at the request already; since then a link may have been put in the way.
        folder = str(inside(root, source.folder)) if source.HasField("folder") else ""
        named = source.class_names if source.HasField("folder") else ""
        class_names = str(inside(root, named)) if named else ""
    except OutsideFolder as error:
        raise InvalidRequest.at("source", f"{error}: name a folder below the data sets root") from error
    archive = config.uploads / parse_upload(source.upload) if source.HasField("upload") else None
    return ImportRequest(
        builtin=source.builtin,
        folder=folder,
        class_names=class_names,
        split_seed=source.split_seed,
        downloads=str(config.downloads.resolve()),
        root=str(root.resolve()) if source.HasField("folder") else "",
        archive=str(archive.resolve()) if archive else "",
        source=json_format.MessageToDict(source),
    )
