"""The figures of torchvision's networks, as its weight enums state them."""

from typing import NamedTuple


class PretrainedWeights(NamedTuple):
    """A member of torchvision's weight enum."""

    member: str
    """Its name."""
    resize: int
    """Length in pixels that the shorter side gets before the centre is cut out at the network's own size."""
    interpolation: str
    """`bilinear` or `bicubic`."""
    top1: float
    """ImageNet Acc@1 in percent."""
    top5: float
    """ImageNet Acc@5 in percent."""


class ZooNetwork(NamedTuple):
    """A network of torchvision."""

    name: str
    """As torchvision spells it."""
    family: str
    """Networks of one family share source, head and builder."""
    parameters: int
    """With 1000 classes."""
    giga_multiply_adds: float
    """For one image of the default size."""
    file_megabytes: float
    """Size of the first weights' file."""
    activation_megabytes: float
    """What the backward pass needs of the forward pass of one image of the default size, in float32."""
    min_input_size: int
    """Pixels, as the enum states it; 1 where it names no other."""
    default_input_size: int
    """Pixels."""
    weights: tuple[PretrainedWeights, ...]
    """Members with this input and 1000 classes."""


# fmt: off
NETWORKS = (
    ZooNetwork("alexnet", "alexnet", 61_100_840, 0.714, 233.087, 3.7, 63, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 56.522, 79.066),
    )),
    ZooNetwork("convnext_tiny", "convnext", 28_589_128, 4.456, 109.119, 109.2, 32, 224, (
        PretrainedWeights("IMAGENET1K_V1", 236, "bilinear", 82.52, 96.146),
    )),
    ZooNetwork("densenet121", "densenet", 7_978_856, 2.834, 30.845, 130.7, 29, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 74.434, 91.972),
    )),
    ZooNetwork("densenet161", "densenet", 28_681_000, 7.728, 110.369, 243.7, 29, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 77.138, 93.56),
    )),
    ZooNetwork("densenet169", "densenet", 14_149_480, 3.36, 54.708, 157.9, 29, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 75.6, 92.806),
    )),
    ZooNetwork("densenet201", "densenet", 20_013_928, 4.291, 77.373, 203.9, 29, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 76.896, 93.37),
    )),
    ZooNetwork("efficientnet_b0", "efficientnet", 5_288_548, 0.386, 20.451, 88.4, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bicubic", 77.692, 93.532),
    )),
    ZooNetwork("efficientnet_v2_s", "efficientnet", 21_458_488, 8.366, 82.704, 452.9, 33, 384, (
        PretrainedWeights("IMAGENET1K_V1", 384, "bilinear", 84.228, 96.878),
    )),
    ZooNetwork("googlenet", "googlenet", 6_624_904, 1.498, 49.731, 48.4, 15, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 69.778, 89.53),
    )),
    ZooNetwork("inception_v3", "inception", 27_161_264, 5.713, 103.903, 98.4, 75, 299, (
        PretrainedWeights("IMAGENET1K_V1", 342, "bilinear", 77.294, 93.45),
    )),
    ZooNetwork("mnasnet0_5", "mnasnet", 2_218_512, 0.104, 8.591, 25.2, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 67.734, 87.49),
    )),
    ZooNetwork("mnasnet1_0", "mnasnet", 4_383_312, 0.314, 16.915, 44.4, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 73.456, 91.51),
    )),
    ZooNetwork("mobilenet_v2", "mobilenet_v2", 3_504_872, 0.301, 13.555, 78.3, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 71.878, 90.286),
        PretrainedWeights("IMAGENET1K_V2", 232, "bilinear", 72.154, 90.822),
    )),
    ZooNetwork("mobilenet_v3_large", "mobilenet_v3", 5_483_032, 0.217, 21.114, 44.2, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 74.042, 91.34),
        PretrainedWeights("IMAGENET1K_V2", 232, "bilinear", 75.274, 92.566),
    )),
    ZooNetwork("mobilenet_v3_small", "mobilenet_v3", 2_542_856, 0.057, 9.829, 16.2, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 67.668, 87.402),
    )),
    ZooNetwork("regnet_y_400mf", "regnet", 4_344_144, 0.402, 16.806, 33.7, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 74.046, 91.716),
        PretrainedWeights("IMAGENET1K_V2", 232, "bilinear", 75.804, 92.742),
    )),
    ZooNetwork("resnet101", "resnet", 44_549_160, 7.801, 170.511, 127.3, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 77.374, 93.546),
        PretrainedWeights("IMAGENET1K_V2", 232, "bilinear", 81.886, 95.78),
    )),
    ZooNetwork("resnet152", "resnet", 60_192_808, 11.514, 230.434, 178.0, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 78.312, 94.046),
        PretrainedWeights("IMAGENET1K_V2", 232, "bilinear", 82.284, 96.002),
    )),
    ZooNetwork("resnet18", "resnet", 11_689_512, 1.814, 44.661, 22.2, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 69.758, 89.078),
    )),
    ZooNetwork("resnet34", "resnet", 21_797_672, 3.664, 83.275, 32.3, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 73.314, 91.42),
    )),
    ZooNetwork("resnet50", "resnet", 25_557_032, 4.089, 97.781, 86.1, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 76.13, 92.862),
        PretrainedWeights("IMAGENET1K_V2", 232, "bilinear", 80.858, 95.434),
    )),
    ZooNetwork("resnext101_32x8d", "resnext", 88_791_336, 16.414, 339.586, 247.5, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 79.312, 94.526),
        PretrainedWeights("IMAGENET1K_V2", 232, "bilinear", 82.834, 96.228),
    )),
    ZooNetwork("resnext50_32x4d", "resnext", 25_028_904, 4.23, 95.789, 112.5, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 77.618, 93.698),
        PretrainedWeights("IMAGENET1K_V2", 232, "bilinear", 81.198, 95.34),
    )),
    ZooNetwork("shufflenet_v2_x0_5", "shufflenet", 1_366_792, 0.04, 5.282, 11.1, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 60.552, 81.746),
    )),
    ZooNetwork("shufflenet_v2_x1_0", "shufflenet", 2_278_604, 0.145, 8.791, 20.4, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 69.362, 88.316),
    )),
    ZooNetwork("squeezenet1_0", "squeezenet", 1_248_424, 0.819, 4.778, 35.8, 21, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 58.092, 80.42),
    )),
    ZooNetwork("squeezenet1_1", "squeezenet", 1_235_496, 0.349, 4.729, 21.1, 17, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 58.178, 80.624),
    )),
    ZooNetwork("swin_t", "swin", 28_288_354, 4.491, 108.19, 106.7, 224, 224, (
        PretrainedWeights("IMAGENET1K_V1", 232, "bicubic", 81.474, 95.776),
    )),
    ZooNetwork("vgg11", "vgg", 132_863_336, 7.609, 506.84, 48.9, 32, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 69.02, 88.628),
    )),
    ZooNetwork("vgg11_bn", "vgg", 132_868_840, 7.609, 506.881, 78.6, 32, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 70.37, 89.81),
    )),
    ZooNetwork("vgg13", "vgg", 133_047_848, 11.308, 507.545, 68.1, 32, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 69.928, 89.246),
    )),
    ZooNetwork("vgg13_bn", "vgg", 133_053_736, 11.308, 507.59, 117.1, 32, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 71.586, 90.374),
    )),
    ZooNetwork("vgg16", "vgg", 138_357_544, 15.47, 527.796, 73.4, 32, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 71.592, 90.382),
    )),
    ZooNetwork("vgg16_bn", "vgg", 138_365_992, 15.47, 527.866, 127.6, 32, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 73.36, 91.516),
    )),
    ZooNetwork("vgg19", "vgg", 143_667_240, 19.632, 548.051, 78.6, 32, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 72.376, 90.876),
    )),
    ZooNetwork("vgg19_bn", "vgg", 143_678_248, 19.632, 548.143, 138.0, 32, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 74.218, 91.842),
    )),
    ZooNetwork("vit_b_16", "vit", 86_567_656, 17.564, 330.285, 154.9, 224, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 81.072, 95.318),
        PretrainedWeights("IMAGENET1K_SWAG_LINEAR_V1", 224, "bicubic", 81.886, 96.18),
    )),
    ZooNetwork("wide_resnet101_2", "wide_resnet", 126_886_696, 22.753, 242.896, 167.3, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 78.848, 94.284),
        PretrainedWeights("IMAGENET1K_V2", 232, "bilinear", 82.51, 96.02),
    )),
    ZooNetwork("wide_resnet50_2", "wide_resnet", 68_883_240, 11.398, 131.82, 112.5, 1, 224, (
        PretrainedWeights("IMAGENET1K_V1", 256, "bilinear", 78.468, 94.086),
        PretrainedWeights("IMAGENET1K_V2", 232, "bilinear", 81.602, 95.758),
    )),
)
# fmt: on
