"""Features of a frozen backbone, computed once and shared by jobs."""

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cultivar_trainer.batches import CachedFeatures, PlainPixels
from cultivar_trainer.datasets.stores import Caches, create_array
from cultivar_trainer.execution import Plan
from cultivar_trainer.finetuning import freeze_digest
from cultivar_trainer.journal import Journal
from cultivar_trainer.networks.network import Network


def cached_features(
    network: Network,
    pixels: PlainPixels,
    *,
    split: str,
    pixels_key: str,
    plan: Plan,
    caches: Caches,
    journal: Journal,
) -> CachedFeatures:
    """Run every image through the frozen backbone once, in fp32; float32 (N, F), from the cache where it is there.

    The key covers all that features depend on: frozen weights and statistics, pixels, and plan.
    """
    key = _key(network, pixels_key, plan)
    path = caches.find(key)
    if path is None:
        width = int(np.prod(network.feature_shape))
        with caches.filling(key, len(pixels.labels) * width * 4) as partial:
            features = create_array(partial / "features.npy", np.float32, (len(pixels.labels), width))
            _fill(network, pixels, features, split, journal)
            features.flush()
        path = caches.entry(key)
    rows: Tensor = torch.from_numpy(np.load(path / "features.npy", mmap_mode="c"))
    return CachedFeatures(features=rows, labels=pixels.labels, device=pixels.device)


@torch.no_grad()
def _fill(network: Network, pixels: PlainPixels, features: NDArray[np.float32], split: str, journal: Journal) -> None:
    network.eval()
    done = 0
    for inputs, _ in pixels.in_order():
        features[done : done + len(inputs)] = network.features(inputs).cpu().numpy()
        done += len(inputs)
        journal.progress(f"computing {split} features", done, len(features), "images")


def _key(network: Network, pixels_key: str, plan: Plan) -> str:
    parts = (pixels_key, freeze_digest(network), plan.device_name, plan.memory_format, plan.threads, torch.__version__)
    return f"features-{hashlib.sha256(repr(parts).encode()).hexdigest()[:40]}"
