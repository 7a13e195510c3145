"""Features of a frozen backbone, computed once and shared by jobs."""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cultivar_trainer.augmentation import pipeline
from cultivar_trainer.batches import AugmentedPixels, CachedFeatures, PlainPixels, resident
from cultivar_trainer.datasets.stores import Caches, create_array
from cultivar_trainer.execution import Plan
from cultivar_trainer.finetuning import freeze_digest
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks.network import Network


def cached_features(
    network: Network,
    pixels: PlainPixels | AugmentedPixels,
    *,
    split: str,
    pixels_key: str,
    plan: Plan,
    caches: Caches,
    journal: Journal,
    views: int = 1,
    memory_limit_bytes: int = 0,
) -> CachedFeatures:
    """Run every image through the frozen backbone once per view, in fp32; from the cache where it is there.

    The key covers all that features depend on: frozen weights and statistics, pixels, augmentation, and plan.

    Args:
        network: its backbone is frozen.
        pixels: plain ones have one view; view v of augmented ones is what epoch v sees.
        split: name for the log.
        pixels_key: identifies the stored pixels.
        plan: applied already.
        caches: keep the features.
        journal: gets progress.
        views: of augmented pixels; 1 of plain ones.
        memory_limit_bytes: what the job may use of a GPU's memory; 0: all that is free.
    """
    key = _key(network, pixels, pixels_key, plan, views)
    path = caches.find(key)
    if path is None:
        shape = (views, len(pixels.labels), int(np.prod(network.feature_shape)))
        with caches.filling(key, int(np.prod(shape)) * 4) as partial:
            features = create_array(partial / "features.npy", np.float32, shape)
            _fill(network, pixels, features, split, plan.evaluation_batch, journal)
            features.flush()
        path = caches.entry(key)
    rows: Tensor = torch.from_numpy(np.load(path / "features.npy", mmap_mode="c"))
    device = pixels.device if isinstance(pixels, PlainPixels) else pixels.plain.device
    rows = resident(rows[0] if views == 1 else rows, device, memory_limit_bytes)
    return CachedFeatures(features=rows, labels=pixels.labels, device=device)


@torch.no_grad()
def _fill(
    network: Network,
    pixels: PlainPixels | AugmentedPixels,
    features: NDArray[np.float32],
    split: str,
    batch_size: int,
    journal: Journal,
) -> None:
    network.eval()
    views, count = features.shape[:2]
    for view in range(views):
        done = 0
        batches = pixels.in_order(batch_size) if isinstance(pixels, PlainPixels) else pixels.in_order(view, batch_size)
        for inputs, _ in batches:
            features[view, done : done + len(inputs)] = network.features(inputs).cpu().numpy()
            done += len(inputs)
            journal.progress(f"computing {split} features", view * count + done, views * count, "images")


def _key(network: Network, pixels: PlainPixels | AugmentedPixels, pixels_key: str, plan: Plan, views: int) -> str:
    parts: tuple[object, ...] = (
        pixels_key,
        freeze_digest(network),
        network.mean.flatten().tolist(),  # no part of the backbone, yet measured ones differ from job to job
        network.std.flatten().tolist(),
        plan.device_name,
        plan.memory_format,
        plan.threads,
        plan.evaluation_batch,
        torch.__version__,
    )
    if isinstance(pixels, AugmentedPixels):
        spec = pixels.spec.SerializeToString(deterministic=True)
        parts += (pipeline.VERSION, spec, pixels.seed, views)
    return f"features-{hashlib.sha256(repr(parts).encode()).hexdigest()[:40]}"
