"""The arithmetic of one layer: output size, parameters and operations, or the inputs that give an output."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from cultivar.v1 import architecture_pb2 as pb
from cultivar_contract.violations import Violation

MAX_DIMENSIONS = 3
MAX_EXTENT = 65_536
"""Pixels in one dimension, and channels."""
MAX_STEP = 1024
"""Kernel, stride and padding in one dimension; a wanted output has at most `stride` inputs."""
_MAX_COUNT = (1 << 63) - 1


@dataclass(kw_only=True, slots=True)
class _Layer:
    """A request whose numbers hold for each dimension."""

    kernel: list[int]
    stride: list[int]
    padding: list[int]
    in_channels: int
    out_channels: int
    bias: bool
    violations: list[Violation] = field(default_factory=list)

    def violate(self, path: str, message: str) -> None:
        self.violations.append(Violation(field=path, message=message))


def calculate(request: pb.CalculateLayerRequest) -> tuple[pb.CalculateLayerResponse, list[Violation]]:
    """Return a layer's figures, or the reasons why it has none; with a reason the figures are empty.

    Per dimension, output = floor((input + 2 padding - kernel) / stride) + 1 (Dumoulin & Visin 2016). A convolution
    multiplies each weight once at each place of the output; adding up n products takes n - 1 additions, and one more
    for a bias. Pooling compares or averages and is counted as no operation.
    """
    wanted = bool(request.output_size)
    path = "output_size" if wanted else "input_size"
    extents = list(request.output_size if wanted else request.input_size)
    layer = _read(request, path, extents)
    if layer.violations:
        return pb.CalculateLayerResponse(), layer.violations
    answer = pb.CalculateLayerResponse(out_channels=layer.out_channels)
    if wanted:
        answer.output_size.extend(extents)
        answer.input_sizes.extend(pb.Extents(sizes=sizes) for sizes in _inputs(layer, extents))
    else:
        answer.output_size.extend(_outputs(layer, extents))
    if not layer.violations and request.kind == pb.LAYER_KIND_CONV:
        _count(layer, answer, path)
    return (pb.CalculateLayerResponse() if layer.violations else answer), layer.violations


def _read(request: pb.CalculateLayerRequest, path: str, extents: list[int]) -> _Layer:
    is_conv = request.kind == pb.LAYER_KIND_CONV
    in_channels = request.in_channels if request.HasField("in_channels") else 1
    layer = _Layer(
        kernel=list(request.kernel),
        stride=list(request.stride) or (list(request.kernel) if request.kind == pb.LAYER_KIND_POOL else [1]),
        padding=list(request.padding) or [0],
        in_channels=in_channels,
        out_channels=request.out_channels if request.HasField("out_channels") else 1 if is_conv else in_channels,
        bias=is_conv and (not request.HasField("bias") or request.bias),
    )
    if request.kind not in (pb.LAYER_KIND_CONV, pb.LAYER_KIND_POOL):
        fact = f"{request.kind} is unknown" if request.kind else "is required"
        layer.violate("kind", f"{fact}: use LAYER_KIND_CONV or LAYER_KIND_POOL")
    if request.input_size and request.output_size:
        layer.violate("output_size", "contradicts input_size: give one of the two")
    elif not extents:
        layer.violate("input_size", "is required: give the input's extents, or output_size for the wanted ones")
    elif len(extents) > MAX_DIMENSIONS:
        layer.violate(path, f"has {len(extents)} dimensions: use 1 to {MAX_DIMENSIONS}")
    _check_range(layer, path, extents[:MAX_DIMENSIONS], 1, MAX_EXTENT)
    if not layer.kernel:
        layer.violate("kernel", "is required: one extent, or one for each dimension")
    for name, smallest in (("kernel", 1), ("stride", 1), ("padding", 0)):
        values = getattr(layer, name)
        if len(values) > 1 and len(values) != len(extents) and extents:
            layer.violate(name, f"has {len(values)} numbers for {len(extents)} dimension(s): give 1 or {len(extents)}")
        _check_range(layer, name, values[:MAX_DIMENSIONS], smallest, MAX_STEP)
    _check_range(layer, "in_channels", [layer.in_channels], 1, MAX_EXTENT)
    if is_conv:
        _check_range(layer, "out_channels", [layer.out_channels], 1, MAX_EXTENT)
    else:
        _check_pooling(layer, request)
    if not layer.violations:
        for name in ("kernel", "stride", "padding"):
            values = getattr(layer, name)
            setattr(layer, name, values * len(extents) if len(values) == 1 else values)
    return layer


def _check_range(layer: _Layer, path: str, values: Sequence[int], smallest: int, largest: int) -> None:
    wrong = [value for value in values if not smallest <= value <= largest]
    if wrong:
        layer.violate(path, f"{wrong[0]} is out of range: use {smallest} to {largest}")


def _check_pooling(layer: _Layer, request: pb.CalculateLayerRequest) -> None:
    if request.kind != pb.LAYER_KIND_POOL:
        return
    if request.HasField("out_channels") and layer.out_channels != layer.in_channels:
        layer.violate("out_channels", "pooling keeps the input's channels: leave it out")
    if request.HasField("bias"):
        layer.violate("bias", "pooling has none: leave it out")
    if layer.kernel and layer.padding and max(layer.padding) > min(layer.kernel) // 2:
        layer.violate(
            "padding",
            f"{max(layer.padding)} is more than half of the kernel, {min(layer.kernel)}: some windows would see "
            "nothing but padding; use less",
        )


def _outputs(layer: _Layer, extents: Sequence[int]) -> list[int]:
    outputs = []
    for extent, kernel, stride, padding in zip(extents, layer.kernel, layer.stride, layer.padding, strict=True):
        padded = extent + 2 * padding
        if kernel > padded:
            layer.violate(
                "kernel", f"{kernel} is larger than the {padded} px of the padded input: use less, or more padding"
            )
        outputs.append((padded - kernel) // stride + 1)
    return outputs


def _inputs(layer: _Layer, extents: Sequence[int]) -> list[list[int]]:
    """Return, for each dimension, every input extent whose output is the wanted one."""
    found = []
    for extent, kernel, stride, padding in zip(extents, layer.kernel, layer.stride, layer.padding, strict=True):
        smallest = (extent - 1) * stride + kernel - 2 * padding
        sizes = list(range(max(1, smallest), smallest + stride))
        if not sizes:
            layer.violate(
                "output_size", f"{extent} comes from no input: padding {padding} alone gives more; use less padding"
            )
        found.append(sizes)
    return found


def _count(layer: _Layer, answer: pb.CalculateLayerResponse, path: str) -> None:
    products = layer.in_channels * prod(layer.kernel)
    places = layer.out_channels * prod(answer.output_size)
    counts = {
        "parameters": layer.out_channels * (products + layer.bias),
        "multiplications": places * products,
        "additions": places * (products - 1 + layer.bias),
    }
    too_many = [name for name, value in counts.items() if value > _MAX_COUNT]
    if too_many:
        layer.violate(path, f"gives {counts[too_many[0]]:.3g} {too_many[0]}, more than can be told: use less")
        return
    for name, value in counts.items():
        setattr(answer, name, value)
