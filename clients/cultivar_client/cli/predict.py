"""`cultivar predict`: classifies image files."""

import asyncio
import csv
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer

from cultivar.v1 import prediction_pb2
from cultivar_client.cli import session
from cultivar_client.cli.options import Address, Json, Token
from cultivar_client.cli.output import json_of, print_json
from cultivar_client.client import Client
from cultivar_client.connection import DEFAULT_ADDRESS
from cultivar_client.errors import CultivarError
from cultivar_client.image_files import LARGEST_IMAGE_BYTES, batches, find_images

CSV_HEADER = ("path", "rank", "class_id", "display_name", "probability", "error")


def predict(
    paths: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.", metavar="IMAGE|FOLDER...")],
    model: Annotated[str | None, typer.Option(help="NAME, or NAME/versions/N. Default: the only model.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Classes per image; default 5.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, one row per class.")] = False,
    address: Address = DEFAULT_ADDRESS,
    token: Token = None,
    as_json: Json = False,
) -> None:
    """Classify images; exit code 1 where any of them failed."""
    if as_csv and as_json:
        raise typer.BadParameter("give one of --csv and --json")
    try:
        images = find_images(paths)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from None

    async def work(client: Client) -> int:
        if not images:
            return session.fail(f"no images in {', '.join(str(path) for path in paths)}")
        report = Report(as_csv=as_csv, as_json=as_json)
        async for path, result in classify(client, await _choose_model(client, model), images, top_k, report):
            report.add(path, result)
        return report.finish()

    session.run(address, token, work)


class Report:
    """Prints results as they come, or as one JSON object at the end."""

    def __init__(self, *, as_csv: bool, as_json: bool) -> None:
        self.model_version = ""
        self._failed = False
        self._json: list[dict[str, object]] | None = [] if as_json else None
        self._csv = csv.writer(sys.stdout, lineterminator="\n") if as_csv else None
        if self._csv is not None:
            self._csv.writerow(CSV_HEADER)

    def add(self, path: Path, result: prediction_pb2.ImageResult) -> None:
        """Takes one image's result."""
        failed = not result.HasField("classification")
        self._failed |= failed
        classes = result.classification.classes
        if self._json is not None:
            self._json.append({"path": str(path), **json_of(result)})
        elif self._csv is not None:
            if failed:
                self._csv.writerow((path, "", "", "", "", result.error.message))
            for rank, one in enumerate(classes, 1):
                self._csv.writerow((path, rank, one.class_id, one.display_name, f"{one.probability:.6f}", ""))
        elif failed:
            session.fail(f"{path}: {result.error.message}")
        else:
            typer.echo(f"{path}  " + "  ".join(f"{one.display_name} {one.probability:.4f}" for one in classes))

    def finish(self) -> int:
        """Prints what is left and returns the exit code."""
        if self._json is not None:
            print_json({"modelVersion": self.model_version, "results": self._json})
        return session.FAILED if self._failed else session.DONE


async def classify(
    client: Client, model: str, paths: list[Path], top_k: int | None, report: Report
) -> AsyncIterator[tuple[Path, prediction_pb2.ImageResult]]:
    """Yields each path with its result, in order. Raises CultivarError where not one image alone is at fault."""
    for batch in batches(path.stat().st_size if path.exists() else 0 for path in paths):
        images: dict[Path, bytes] = {}
        results: dict[Path, prediction_pb2.ImageResult] = {}
        for position in batch:
            path = paths[position]
            try:
                images[path] = await asyncio.to_thread(_read, path)
            except OSError as error:
                results[path] = _image_error("INVALID_ARGUMENT", "FILE_UNREADABLE", f"can't be read: {error.strerror}")
            except ValueError as error:
                results[path] = _image_error("INVALID_ARGUMENT", "IMAGE_TOO_LARGE", str(error))
        if images:
            response = await _predict(client, model, list(images.values()), top_k)
            results.update(zip(images, response.results, strict=True))
            # The first answer's version answers for all images, even if another goes live meanwhile.
            model = report.model_version = response.model_version or model
        for position in batch:
            yield paths[position], results[paths[position]]


async def _predict(
    client: Client, model: str, images: list[bytes], top_k: int | None
) -> prediction_pb2.PredictResponse:
    try:
        return await client.predict(model, images, top_k=top_k)
    except CultivarError as error:
        # A service may accept less in one message than this client sends: that is the fault of this image alone.
        if len(images) > 1 or error.code != "RESOURCE_EXHAUSTED":
            raise
        return prediction_pb2.PredictResponse(results=[_image_error(error.code, error.reason, error.message)])


async def _choose_model(client: Client, model: str | None) -> str:
    if model is not None:
        return model
    names = [one.name.removeprefix("models/") async for one in client.list_models()]
    if not names:
        raise CultivarError("the service has no model yet: make one with `cultivar train`", code="NOT_FOUND")
    if len(names) > 1:
        raise typer.BadParameter(
            f"the service has several models: choose one of {', '.join(names)}", param_hint="--model"
        )
    return names[0]


def _read(path: Path) -> bytes:
    size_bytes = path.stat().st_size
    if size_bytes > LARGEST_IMAGE_BYTES:
        raise ValueError(f"{size_bytes} bytes are more than the {LARGEST_IMAGE_BYTES} that fit a request")
    return path.read_bytes()


def _image_error(code: str, reason: str, message: str) -> prediction_pb2.ImageResult:
    return prediction_pb2.ImageResult(error=prediction_pb2.ImageError(code=code, reason=reason, message=message))
