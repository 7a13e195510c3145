"""Writes a report: report.html for people, report.json for programs."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from cultivar_contract import preprocessing
from cultivar_contract.package import REPORT_JSON, REPORT_PAGE
from cultivar_trainer.datasets.version import Sample
from cultivar_trainer.reports.evaluation.page import page
from cultivar_trainer.reports.evaluation.split import Answers, Mistake, SplitFigures
from cultivar_trainer.reports.evaluation.subject import Subject

SCHEMA_VERSION = 1
"""Of report.json."""
THUMBNAIL_PIXELS = 128
"""Longer side of a mistake's picture."""
_JPEG_QUALITY = 75


def write_report(
    folder: Path, subject: Subject, splits: Mapping[str, Answers], read: Callable[[Sample], bytes]
) -> None:
    """Write report.html and report.json; equal answers give equal bytes.

    Args:
        folder: where.
        subject: what the report is about.
        splits: the answers to each split that was measured, by its name.
        read: returns an image's encoded bytes; asked for the mistakes that are shown.

    Raises:
        UnreadableImage: an image can't be read, which was read when it was classified.
    """
    figures = [SplitFigures.of(name, answers) for name, answers in splits.items()]
    body = {
        "schema_version": SCHEMA_VERSION,
        **subject.to_json(),
        "splits": {one.name: one.to_json(subject.classes) for one in figures},
    }
    text = json.dumps(body, sort_keys=True, allow_nan=False, separators=(",", ":"))
    (folder / REPORT_JSON).write_text(text + "\n")
    html = page(subject, figures, lambda mistake: thumbnail(mistake, read))
    (folder / REPORT_PAGE).write_text(html, encoding="utf-8")


def thumbnail(mistake: Mistake, read: Callable[[Sample], bytes]) -> bytes:
    """Return a small JPEG of the image as it was encoded."""
    image = preprocessing.decode(read(mistake.sample), shorter_side=THUMBNAIL_PIXELS)
    image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return buffer.getvalue()
