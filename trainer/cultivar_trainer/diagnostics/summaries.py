"""What TensorBoard shows: numbers, histograms and pictures as its messages."""

import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

_BINS = 30
_AT_A_TIME = 1 << 20
"""Numbers that are squared together, in twice the size that they have."""
_COLUMNS = 4
LARGEST_SIDE = 128
"""Pixels of a sample image in a picture; larger ones are made smaller."""


def scalars(values: Mapping[str, float]) -> Iterator[Any]:
    """Yield a `Summary.Value` for each tag."""
    from tensorboard.compat.proto import summary_pb2

    for tag, value in values.items():
        yield summary_pb2.Summary.Value(tag=tag, simple_value=value)


def histograms(tensors: Mapping[str, Tensor]) -> Iterator[Any]:
    """Yield a `Summary.Value` of each tensor's distribution in bins of one width; of numbers alone."""
    from tensorboard.compat.proto import summary_pb2

    for tag, tensor in tensors.items():
        values = tensor.detach().float().flatten().cpu().numpy()
        if not np.isfinite(values).all():
            values = values[np.isfinite(values)]
        if not len(values):
            continue
        least, most = np.float64(values.min()), np.float64(values.max())  # float32 can't tell close edges apart
        counts, edges = np.histogram(values, bins=_BINS, range=(least, most))
        parts = np.array_split(values, math.ceil(len(values) / _AT_A_TIME))
        yield summary_pb2.Summary.Value(
            tag=tag,
            histo=summary_pb2.HistogramProto(
                min=float(least),
                max=float(most),
                num=len(values),
                sum=float(values.sum(dtype=np.float64)),
                sum_squares=sum(float(np.square(one, dtype=np.float64).sum()) for one in parts),
                # The first bucket ends where the numbers begin: readers take buckets to reach from the limit before.
                bucket_limit=edges.tolist(),
                bucket=[0.0, *counts.astype(np.float64).tolist()],
            ),
        )


def picture(tag: str, images: Tensor) -> Any:
    """Return a `Summary.Value` of several images (N, C, S, S), 0 to 1, side by side."""
    from tensorboard.compat.proto import summary_pb2

    count, channels, size, _ = images.shape
    side = min(size, LARGEST_SIDE)
    pixels = (images.detach().float().cpu().nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8)
    sheet = Image.new(
        "L" if channels == 1 else "RGB", (side * min(count, _COLUMNS), side * math.ceil(count / _COLUMNS))
    )
    for number, one in enumerate(pixels.permute(0, 2, 3, 1).numpy()):
        image = Image.fromarray(one[..., 0] if channels == 1 else one)
        if size > side:
            image = image.resize((side, side), Image.Resampling.BOX)
        row, column = divmod(number, _COLUMNS)
        sheet.paste(image, (column * side, row * side))
    data = io.BytesIO()
    sheet.save(data, "PNG")
    return summary_pb2.Summary.Value(
        tag=tag,
        image=summary_pb2.Summary.Image(
            height=sheet.height,
            width=sheet.width,
            colorspace=channels,
            encoded_image_string=data.getvalue(),
        ),
    )
