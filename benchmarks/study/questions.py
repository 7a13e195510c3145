"""What the study asks."""

from collections.abc import Mapping

from benchmarks.study.cells import Fields, Question, Variant
from benchmarks.study.scale import Scale

MOBILENET = {
    "dataset": "flowers",
    "architecture": "mobilenet_v2",
    "weights": "mobilenet_v2-tf2ptq-5e11b11e.pth",
    "batch_size": 32,
}
LENET = {"architecture": "lenet5", "mode": "scratch", "execution.threads": 1}
"""One thread: two are slower on so small a network."""
SYMMETRIC = {"input.normalisation": "symmetric"}
"""The default, named where questions share a training with the one about normalisation."""
SGD = {"optimizer.kind": "sgd", "optimizer.learning_rate": 0.01}


def questions(scale: Scale) -> tuple[Question, ...]:
    """Return what a study of this size asks, in the page's order."""
    return (
        *_flowers(scale),
        *_learning(scale),
        _cats_and_dogs(scale),
        _residual(scale),
        _depth(scale),
        _batches(scale),
    )


def _flowers(scale: Scale) -> tuple[Question, ...]:
    base = {**MOBILENET, "input.size": scale.size, "epochs": scale.flower_epochs}
    usual = {"data.max_train_images_per_class": scale.usual_per_class}
    modes = _modes(base)
    many = {**base, **usual}
    full = {**many, **modes["full"]}

    return (
        Question(
            key="modes",
            title="Which weights should learn?",
            variants=(
                *(_of(label, {**many, **mode}, scale.seeds) for label, mode in modes.items()),
                _of("full, rate 0.001", {**full, "optimizer.learning_rate": 0.001}, scale.seeds),
                _of("head, 100 epochs", {**many, **modes["head"], "epochs": 100}, scale.seeds),
            ),
        ),
        Question(
            key="images-per-class",
            title="How many images per class does each mode need?",
            variants=tuple(
                _of(
                    f"{label}, {count or 'all'}",
                    {**base, **modes[label], "data.max_train_images_per_class": count},
                    scale.seeds if label == "head" or count == scale.usual_per_class else scale.dear_seeds,
                )
                for label in ("head", "last 3 blocks", "full", "scratch")
                for count in scale.per_class
            ),
        ),
        Question(
            key="regularisation",
            title="Label smoothing, mixup, cutmix, augmentation: do they help on few images?",
            variants=(
                _of("none", full, scale.seeds),
                *(
                    _of(label, {**full, **fields}, scale.dear_seeds)
                    for label, fields in {
                        "label smoothing 0.1": {"loss.label_smoothing": 0.1},
                        "mixup 0.2": {"augmentation.mixup": 0.2},
                        "cutmix 1": {"augmentation.cutmix": 1.0},
                        "crop and flip": {"augmentation.resized_crop": 0.5, "augmentation.horizontal_flip": 0.5},
                    }.items()
                ),
            ),
        ),
    )


def _modes(base: Fields) -> dict[str, Fields]:
    """Return the fields of each mode; SCRATCH takes no weights."""
    return {
        "scratch": {"mode": "scratch", "weights": None},
        "full": {"mode": "full"},
        "head": {"mode": "head"},
        "last 3 blocks": {"mode": "last-blocks", "last_blocks": 3},
        "gradual": {"mode": "gradual"},
    }


def _learning(scale: Scale) -> tuple[Question, ...]:
    base = {**_small_images(scale), **LENET}
    sgd = {**base, **SGD, "schedule.warmup_epochs": 0}
    constant = {**sgd, "schedule.kind": "constant"}
    symmetric = {**base, **SYMMETRIC}
    longer = {**base, "epochs": scale.augmented_epochs}

    def variants(start: Fields, changes: Mapping[str, Fields]) -> tuple[Variant, ...]:
        return tuple(_of(label, {**start, **fields}, scale.seeds) for label, fields in changes.items())

    return (
        Question(
            key="learning-rate",
            title="A learning rate too high, high, right, low",
            factor="learning rate",
            variants=variants(
                constant,
                {
                    "0.01": {},
                    "0.3": {"optimizer.learning_rate": 0.3},
                    "0.05": {"optimizer.learning_rate": 0.05},
                    "0.0005": {"optimizer.learning_rate": 0.0005},
                },
            ),
        ),
        Question(
            key="schedule",
            title="How should the learning rate fall?",
            variants=variants(
                {**sgd, "optimizer.learning_rate": 0.05},
                {
                    kind: {"schedule.kind": kind}
                    for kind in ("constant", "cosine", "step", "exponential", "cyclic", "one-cycle", "plateau")
                },
            ),
        ),
        Question(
            key="optimiser",
            title="Which update rule, each at its default learning rate?",
            variants=variants(
                symmetric,
                {"adamw": {}}
                | {kind: {"optimizer.kind": kind} for kind in ("adam", "sgd", "rmsprop", "adagrad", "muon")}
                | {"sgd, no momentum": {"optimizer.kind": "sgd", "optimizer.momentum": 0}},
            ),
        ),
        Question(
            key="normalisation",
            title="How should pixels be normalised?",
            variants=variants(
                base,
                {
                    kind: {"input.normalisation": kind}
                    for kind in ("unit", "symmetric", "min-max", "imagenet", "measured")
                },
            ),
        ),
        Question(
            key="augmentation",
            title="Does augmentation pay from scratch?",
            variants=variants(
                longer,
                {
                    "none": {},
                    "flip": {"augmentation.horizontal_flip": 0.5},
                    "crop and flip": {"augmentation.padded_crop": 4, "augmentation.horizontal_flip": 0.5},
                    "TrivialAugment": {"augmentation.trivial_augment": True},
                },
            ),
        ),
    )


def _cats_and_dogs(scale: Scale) -> Question:
    small = {"dataset": "cat-dog", **LENET, "epochs": scale.augmented_epochs}
    deep = {
        "dataset": "cat-dog",
        "architecture": "resnet18",
        "mode": "scratch",
        "network.stem": "cifar",
        "epochs": scale.deep_epochs,
    }
    head = {**MOBILENET, "dataset": "cat-dog", "mode": "head", "input.size": scale.size, "epochs": 30}
    return Question(
        key="cat-dog",
        title="Cat against dog, 500 images each: deep, small, or pretrained?",
        variants=(
            _of("resnet18, scratch", deep, scale.dear_seeds),
            _of("lenet5, scratch", small, scale.seeds),
            _of("mobilenet_v2, head", head, scale.seeds),
        ),
    )


def _residual(scale: Scale) -> Question:
    base = {
        "dataset": "cifar10",
        "mode": "scratch",
        "data.max_train_images_per_class": scale.residual_images,
        "data.max_val_images_per_class": scale.residual_images,
        "epochs": scale.residual_epochs,
    }
    return Question(
        key="residual",
        title="Plain against residual networks, 20 and 56 layers",
        variants=tuple(
            _of(
                f"{'residual' if shortcuts else 'plain'} {depth}",
                {**base, "architecture": f"resnet{depth}_cifar", "network.shortcuts": shortcuts},
                scale.dear_seeds,
            )
            for depth in (20, 56)
            for shortcuts in (False, True)
        ),
    )


def _depth(scale: Scale) -> Question:
    base = {
        **_small_images(scale),
        "architecture": "mlp",
        "mode": "scratch",
        "network.hidden_sizes": [128] * 12,
        "execution.threads": 1,
    }
    return Question(
        key="depth",
        title="Gradients through twelve hidden layers: sigmoid, ReLU, BatchNorm",
        gradients=True,
        variants=(
            _of("sigmoid", {**base, "network.activation": "sigmoid"}, scale.seeds),
            _of("ReLU", base, scale.seeds),
            _of("ReLU, He", {**base, "initialisation.scheme": "he"}, scale.seeds),
            _of("ReLU, BatchNorm", {**base, "network.batch_norm": True}, scale.seeds),
            _of(
                "sigmoid, BatchNorm", {**base, "network.activation": "sigmoid", "network.batch_norm": True}, scale.seeds
            ),
        ),
    )


def _batches(scale: Scale) -> Question:
    base = {**_small_images(scale), **LENET, **SYMMETRIC}
    sizes: dict[str, Fields] = {"64": {}} | {str(size): {"batch_size": size} for size in (8, 16, 256, 1024)}
    return Question(
        key="batch-size",
        title="What does the batch size cost and bring?",
        timed=True,
        variants=tuple(_of(label, {**base, **fields}, scale.seeds) for label, fields in sizes.items()),
    )


def _small_images(scale: Scale) -> Fields:
    return {
        "dataset": "cifar10",
        "data.max_val_images_per_class": scale.lenet_validation,
        "epochs": scale.lenet_epochs,
    }


def _of(label: str, spec: Fields, seeds: int) -> Variant:
    """Make a variant; fields that are None are left out."""
    return Variant(label=label, spec={name: value for name, value in spec.items() if value is not None}, seeds=seeds)
