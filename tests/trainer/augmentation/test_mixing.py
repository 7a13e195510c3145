import pytest
import torch

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_trainer.augmentation.mixing import is_mixed, mix

COUNT, CLASSES = 6, 4
IMAGES = torch.rand(COUNT, 3, 20, 30, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 1, 2, 3, 0, 1])  # neighbours differ, so own shares can be read off


def run(step: int, seed: int = 0, **spec: float) -> tuple[torch.Tensor, torch.Tensor]:
    spec = {"mixing_probability": 1.0, **spec}
    return mix(IMAGES, TARGETS, CLASSES, pb.AugmentationSpec(**spec), seed=seed, step=step)


def own_share(targets: torch.Tensor) -> float:
    shares = targets.gather(1, TARGETS[:, None])
    assert torch.equal(shares, shares[:1].expand_as(shares))
    return float(shares[0])


def test_mixup_blends_images_and_targets_by_one_lambda() -> None:
    images, targets = run(3, mixup=1.0)

    own = own_share(targets)
    assert 0 < own < 1
    assert torch.allclose(images, own * IMAGES + (1 - own) * IMAGES.roll(1, 0), atol=1e-6)
    assert torch.allclose(targets.sum(1), torch.ones(COUNT))
    assert torch.allclose(targets[1, :2], torch.tensor([1 - own, own]))
    assert targets[1, 2:].sum() == 0


def test_cutmix_takes_one_box_and_its_area_is_the_partners_share() -> None:
    areas = []
    for step in range(40):
        images, targets = run(step, cutmix=1.0)

        partners = IMAGES.roll(1, 0)
        inside = (images == partners).all(dim=1)
        assert torch.equal(inside | (images == IMAGES).all(dim=1), torch.ones_like(inside))
        assert torch.equal(inside, inside[:1].expand_as(inside))  # the same box in every image
        box = inside[0]
        rows, columns = box.any(1).sum(), box.any(0).sum()
        assert box.sum() == rows * columns
        assert own_share(targets) == pytest.approx(1 - float(box.float().mean()), abs=1e-6)
        areas.append(float(box.float().mean()))
    assert min(areas) < 0.1
    assert max(areas) > 0.6


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_lambda_has_the_moments_of_its_beta_distribution(alpha: float) -> None:
    spec = pb.AugmentationSpec(mixup=alpha, mixing_probability=1)
    pair = torch.zeros(2, 1, 1, 1)
    targets = [mix(pair, TARGETS[:2], CLASSES, spec, seed=0, step=step)[1] for step in range(1500)]
    shares = torch.stack(targets)[:, 0, 0].double()

    assert abs(shares.mean() - 0.5) < 0.03
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_batches_are_mixed_with_the_probability_asked_for_by_either_method() -> None:
    kinds = {"none": 0, "mixup": 0, "cutmix": 0}
    for step in range(600):
        images, targets = run(step, mixup=0.4, cutmix=1.0, mixing_probability=0.7)
        if torch.equal(images, IMAGES):
            kinds["none"] += bool((targets.max(1).values == 1).all())
        else:
            kinds["cutmix" if ((images == IMAGES) | (images == IMAGES.roll(1, 0))).all() else "mixup"] += 1

    assert kinds["none"] / 600 == pytest.approx(0.3, abs=0.08)
    assert kinds["mixup"] / 600 == pytest.approx(0.35, abs=0.08)
    assert kinds["cutmix"] / 600 == pytest.approx(0.35, abs=0.08)


def test_seed_and_step_alone_decide() -> None:
    first, again, later, other = run(5, mixup=1.0), run(5, mixup=1.0), run(6, mixup=1.0), run(5, seed=1, mixup=1.0)

    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], later[1])
    assert not torch.equal(first[1], other[1])


def test_one_image_has_no_partner_and_targets_stay_one_hot() -> None:
    images, targets = mix(
        IMAGES[:1], TARGETS[1:2], CLASSES, pb.AugmentationSpec(mixup=1.0, mixing_probability=1.0), seed=0, step=0
    )

    assert torch.equal(images, IMAGES[:1])
    assert targets.tolist() == [[0, 1, 0, 0]]


def test_label_smoothing_afterwards_is_that_of_both_targets() -> None:
    _, targets = run(2, mixup=1.0)
    logits = torch.randn(COUNT, CLASSES, generator=torch.Generator().manual_seed(1))
    own = own_share(targets)

    mixed = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.1)

    parts = [
        torch.nn.functional.cross_entropy(logits, one, label_smoothing=0.1) for one in (TARGETS, TARGETS.roll(1, 0))
    ]
    assert torch.allclose(mixed, own * parts[0] + (1 - own) * parts[1], atol=1e-6)


def test_a_probability_of_zero_mixes_nothing() -> None:
    assert not is_mixed(pb.AugmentationSpec(mixup=0.2, mixing_probability=0))
    assert not is_mixed(pb.AugmentationSpec(mixing_probability=1))
    assert is_mixed(pb.AugmentationSpec(cutmix=1, mixing_probability=0.5))
