"""Times augmentations side by side, in one process, and prints what each costs per image.

    python benchmarks/augmentation.py [--sizes 224 32] [--batch 64] [--device cpu]

Of fields of AugmentationSpec alone, of whole recipes against the transforms of torchvision that do the same, called
once per image as a data loader's worker calls them, and of crops against a grid_sample for each image.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.augmentation.geometry import crop_boxes
from cultivar_trainer.batches import AugmentedPixels, plain_pixels
from cultivar_trainer.datasets.stores import AspectStore, PixelStore
from cultivar_trainer.randomness import Draw

REPEATS = 5
ALONE = {
    "horizontal_flip": 0.5,
    "vertical_flip": 0.5,
    "alternating_flip": True,
    "padded_crop": 4,
    "rotation": 15,
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "hue": 0.1,
    "channel_shift": 0.1,
    "color_temperature": 0.2,
    "gaussian_noise": 0.1,
    "blur": 1,
    "random_erasing": 0.25,
    "randaugment_operations": 2,
    "trivial_augment": True,
}
RECIPES: dict[str, tuple[dict[str, float], list[Callable[[], torch.nn.Module]]]] = {
    "flip, jitter": (
        {"horizontal_flip": 0.5, "brightness": 0.3, "contrast": 0.3, "saturation": 0.3},
        [v2.RandomHorizontalFlip, lambda: v2.ColorJitter(0.3, 0.3, 0.3)],
    ),
    "flip, affine, jitter with hue, erasing": (
        {
            "horizontal_flip": 0.5,
            "rotation": 15,
            "width_shift": 0.1,
            "height_shift": 0.1,
            "shear": 5,
            "zoom": 0.1,
            "brightness": 0.3,
            "contrast": 0.3,
            "saturation": 0.3,
            "hue": 0.1,
            "random_erasing": 0.25,
        },
        [
            v2.RandomHorizontalFlip,
            lambda: v2.RandomAffine(15, (0.1, 0.1), (0.9, 1.1), (-5, 5), interpolation=v2.InterpolationMode.BILINEAR),
            lambda: v2.ColorJitter(0.3, 0.3, 0.3, 0.1),
            lambda: v2.RandomErasing(0.25),
        ],
    ),
    "flip, trivial_augment": (
        {"horizontal_flip": 0.5, "trivial_augment": True},
        [
            v2.RandomHorizontalFlip,
            lambda: v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR),
        ],
    ),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 32])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    device = torch.device(options.device)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads")
    print(f"microseconds per image, best of {REPEATS}")
    for size in options.sizes:
        _compare(size, options.batch, device)


def _compare(size: int, batch: int, device: torch.device) -> None:
    generator, shorter = np.random.default_rng(0), round(size * 1.15)
    images = generator.integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    shapes = [
        (shorter, round(shorter * ratio))[:: generator.choice([-1, 1])] for ratio in generator.uniform(1, 1.6, batch)
    ]
    ends = np.cumsum([height * width * 3 for height, width in shapes])
    aspect = AspectStore(
        generator.integers(0, 256, int(ends[-1]), dtype=np.uint8),
        np.concatenate([[0], ends[:-1]]),
        np.array(shapes, np.int64),
        3,
    )
    plain = plain_pixels(PixelStore(images, ""), [0] * batch, device, torch.contiguous_format)
    everyone = torch.arange(batch)

    def cost(fields: dict[str, float]) -> float:
        spec = pb.AugmentationSpec(**fields, randaugment_magnitude=9)  # type: ignore[arg-type]
        source = aspect if spec.resized_crop else None
        data = AugmentedPixels(plain=plain, aspect=source, labels=plain.labels, spec=spec, seed=0, size=size)
        return _cost(lambda: data.inputs(everyone, 0), batch, device)

    print(f"\n{size} px, batches of {batch}")
    print(f"  {'none: bytes to floats':24}{_cost(lambda: plain.inputs(everyone), batch, device):8.0f}")
    for name, value in ALONE.items():
        print(f"  {name:24}{cost({name: value}):8.0f}")
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
    for name, (fields, transforms) in RECIPES.items():
        # Bytes where torchvision takes them, as its own references do: floats cost it more.
        chain = v2.Compose([one() for one in transforms] + [v2.ToDtype(torch.float32, scale=True)])

        def theirs(chain: v2.Compose = chain) -> Tensor:
            return torch.stack([chain(one) for one in pixels]).to(device)

        _print_ratio(name, cost(fields), _cost(theirs, batch, device), "torchvision v2 per image")
    tensors = [torch.from_numpy(aspect.image(row)) for row in range(batch)]
    sides = torch.from_numpy(aspect.shapes).float()
    boxes = crop_boxes(sides[:, 0], sides[:, 1], 0.25, Draw(0, 0, everyone)).to(device)
    alone = _cost(lambda: _one_by_one([one.to(device) for one in tensors], boxes, size), batch, device)
    _print_ratio("resized_crop", cost({"resized_crop": 0.25}), alone, "one grid_sample per image")


def _print_ratio(name: str, ours: float, theirs: float, other: str) -> None:
    print(f"  {name}: {ours:.0f}; {other} {theirs:.0f}, {theirs / ours:.1f} times as long")


def _one_by_one(images: list[Tensor], boxes: Tensor, size: int) -> Tensor:
    out = torch.empty(len(images), 3, size, size, device=boxes.device)
    steps = (torch.arange(size, device=boxes.device) + 0.5) / size
    for number, (image, box) in enumerate(zip(images, boxes, strict=True)):
        height, width = image.shape[:2]
        y = (box[0] + steps * box[2]) / height * 2 - 1
        x = (box[1] + steps * box[3]) / width * 2 - 1
        grid = torch.stack([x[None, :].expand(size, size), y[:, None].expand(size, size)], dim=2)[None]
        pixels = image.permute(2, 0, 1)[None].float()
        out[number] = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)[0]
    return out / 255


def _cost(work: Callable[[], object], images: int, device: torch.device) -> float:
    work()
    seconds = []
    for _ in range(REPEATS):
        _finish(device)
        started = time.perf_counter()
        work()
        _finish(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds) / images * 1e6


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
