"""What is asked of the service: imports, and jobs of 20 to 60 s that use each way of training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cultivar_trainer.datasets import procedural_flowers

DATASET = "flowers"
"""The data set that jobs learn from."""
_FOLDER = "flowers"
_IMAGES_PER_SPECIES = 120
_ATTEMPTS = 100
"""Attempts without progress that a job may have: more than any promise is needed for, the most that a spec can say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """A data set to be imported."""

    name: str
    builtin: str | None = None
    folder: str | None = None
    split_seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A job to be trained; what it makes must always be the same."""

    name: str
    """Of the recipe, and of its model."""
    spec: Mapping[str, Any] = field(repr=False)
    """A TrainingSpec without data set, model and scheduling."""
    starts_from: str = ""
    """The recipe whose finished version gives the weights; empty: random weights."""

    def request(self, weights: str = "") -> dict[str, Any]:
        """Return the spec to send; `weights` names what `starts_from` has made."""
        return {
            "dataset": DATASET,
            "model": self.name,
            "publish": "always",  # so that `live` moves with every job
            "scheduling": {"attempts_without_progress": _ATTEMPTS},
            "input": {"size": 32},
            **self.spec,
            **({"weights": weights} if weights else {}),
        }


IMPORTS = (
    Import(name=DATASET, folder=_FOLDER),
    Import(name="flowers-split-anew", folder=_FOLDER, split_seed=1),
    Import(name="procedural", builtin="procedural-flowers"),
)

RECIPES = (
    Recipe(
        name="lenet",
        spec={
            "architecture": "lenet5",
            "mode": "scratch",
            "epochs": 40,
            "batch_size": 16,
            "selection_metric": "loss",
            "augmentation": {"horizontal_flip": 0.5, "mixup": 0.2},
            "optimizer": {"ema_share": 0.1},
        },
    ),
    Recipe(
        name="residual",
        spec={
            "architecture": "resnet20_cifar",
            "mode": "scratch",
            "epochs": 6,
            "batch_size": 32,
            "augmentation": {"padded_crop": 2, "horizontal_flip": 0.5},
            "optimizer": {"kind": "sgd", "learning_rate": 0.05},
        },
    ),
    Recipe(
        name="search",
        spec={
            "architecture": "lenet5",
            "mode": "scratch",
            "epochs": 14,
            "batch_size": 16,
            "optimizer": {"learning_rates": [0.0003, 0.001, 0.003]},
            "execution": {"threads": 1},
        },
    ),
    Recipe(
        name="head",
        starts_from="residual",
        spec={
            "architecture": "resnet20_cifar",
            "mode": "head",
            "epochs": 60,
            "batch_size": 16,
            "augmentation": {"horizontal_flip": 0.5},
            "execution": {"feature_views": 4},
        },
    ),
    Recipe(
        name="perceptron",
        spec={
            "architecture": "mlp",
            "mode": "scratch",
            "epochs": 40,
            "batch_size": 16,
            "network": {"hidden_sizes": [256, 64], "dropout": 0.2, "batch_norm": True},
            "schedule": {"kind": "plateau", "plateau_patience": 2},
            "early_stopping": {"patience": 12},
            "selection_metric": "loss",
        },
    ),
    Recipe(
        name="shuffle",
        spec={
            "architecture": "shufflenet_v2_x0_5",
            "mode": "scratch",
            "epochs": 8,
            "batch_size": 32,
            "augmentation": {"trivial_augment": True},
        },
    ),
    Recipe(
        name="gradual",
        starts_from="shuffle",
        spec={
            "architecture": "shufflenet_v2_x0_5",
            "mode": "gradual",
            "epochs": 8,
            "batch_size": 32,
            "gradual": {"head_epochs": 3},
        },
    ),
    Recipe(
        name="head-search",
        starts_from="residual",
        spec={
            "architecture": "resnet20_cifar",
            "mode": "head",
            "epochs": 200,
            "batch_size": 16,
            "optimizer": {"learning_rates": [0.001, 0.01], "weight_decays": [0.0, 0.01]},
        },
    ),
    Recipe(
        name="last-blocks",
        starts_from="residual",
        spec={
            "architecture": "resnet20_cifar",
            "mode": "last-blocks",
            "last_blocks": 2,
            "epochs": 8,
            "batch_size": 32,
            "optimizer": {"clip_norm": 1.0, "l1": 1e-6},
            "augmentation": {"cutmix": 1.0},
            "loss": {"label_smoothing": 0.1},
            "execution": {"threads": 1},
        },
    ),
)


def chosen(names: list[str]) -> tuple[Recipe, ...]:
    """Return the recipes of these names in their order; no names: all.

    Raises:
        ValueError: there is no such recipe, or one starts from another that is left out.
    """
    if not names:
        return RECIPES
    recipes = tuple(recipe for recipe in RECIPES if recipe.name in names)
    known = {recipe.name for recipe in recipes}
    for name in [*names, *(recipe.starts_from for recipe in recipes if recipe.starts_from)]:
        if name not in known:
            raise ValueError(f"recipe {name!r} is missing: choose of {', '.join(one.name for one in RECIPES)}")
    return recipes


def draw_sources(root: Path) -> None:
    """Draw the images that imports are made of into the data sets root."""
    drawn = root / ".drawn"
    procedural_flowers.write_folder(drawn, images_per_species={"train": _IMAGES_PER_SPECIES})
    (drawn / "train").rename(root / _FOLDER)
    drawn.rmdir()
