"""What each group of a spec's fields does to training, in two sentences."""

from collections.abc import Collection, Mapping

from cultivar.v1 import training_spec_pb2 as pb

_MODES: Mapping[int, str] = {
    pb.FINE_TUNING_MODE_SCRATCH: "Mode scratch draws all weights at random and trains all of them. It owes nothing to "
    "other data, and needs more images and epochs than pretrained weights do.",
    pb.FINE_TUNING_MODE_FULL: "Mode full starts from pretrained weights and trains all of them. It can adapt every "
    "layer to the new images, and forgets or overfits where the learning rate is large or images are few.",
    pb.FINE_TUNING_MODE_HEAD: "Mode head keeps the pretrained backbone as it is and trains only the new head on its "
    "features. It is fast and hardly overfits, and can be no better than those features.",
    pb.FINE_TUNING_MODE_LAST_BLOCKS: "Mode last-blocks keeps the early layers, whose features are general, and trains "
    "the last blocks and the head. It lies between head and full in what it can adapt and in how easily it overfits.",
    pb.FINE_TUNING_MODE_GRADUAL: "Mode gradual trains the new head first and then all weights at a much smaller rate. "
    "The backbone is spared the large gradients of a head that knows nothing yet.",
}
_GROUPS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("architecture",),
        "Another architecture has other layers, parameters and assumptions about images. Larger ones can represent "
        "more, and need more data and time to be trained.",
    ),
    (
        ("weights", "retain_blocks"),
        "Training starts from other weights, or from fewer of their blocks. The closer the images that they were "
        "trained on are to these, the more their features help.",
    ),
    (
        ("last_blocks", "trainable"),
        "Other parameters learn while the rest stay as they were loaded. More of them can adapt further, and overfit "
        "sooner where images are few.",
    ),
    (
        ("network.stem",),
        "The stem decides how early the image is scaled down. Small images keep their detail only where the first "
        "layers have stride 1 and no pooling.",
    ),
    (
        ("network.shortcuts", "network.zero_init_residual"),
        "Shortcuts add a block's input to its output, so that a block learns a correction and gradients pass it "
        "unhindered. Without them deep networks are hard to train; blocks that begin as zero start as a shallow one.",
    ),
    (
        ("network.batch_norm", "network.batch_norm_momentum", "network.batch_norm_epsilon"),
        "Batch normalisation centres and scales each channel by the statistics of the batch, and by running ones when "
        "it predicts. Gradients keep their size through many layers, and larger learning rates become usable.",
    ),
    (
        ("network.dropout", "network.head_dropout"),
        "Dropout silences random units while training, so that none can rely on a few others. It works against "
        "overfitting, and slows learning where the network is too small anyway.",
    ),
    (
        ("network.activation", "network.head_activation"),
        "The activation is what makes layers more than one linear map. ReLU passes gradients of active units "
        "unchanged, while sigmoid and tanh shrink them where they saturate.",
    ),
    (
        ("network.",),
        "Width, depth and kernels set how many features a network can form and over which area. More of them fit "
        "training images better, and cost parameters and time.",
    ),
    (
        ("initialisation.",),
        "The variance of initial weights decides whether signals and gradients keep their size from layer to layer. "
        "Too small a variance lets them vanish, too large a one lets them explode or saturate.",
    ),
    (
        ("input.size", "input.channels"),
        "The input's size and channels decide what of an image the network can see at all. More pixels show finer "
        "detail, and computation grows with their number.",
    ),
    (
        ("input.",),
        "Normalisation shifts and scales pixels before the first layer. Inputs around zero with equal spread make the "
        "loss easier to descend; pretrained layers expect the one that they were trained with.",
    ),
    (
        ("data.max_train_images", "data.max_train_images_per_class"),
        "A limit takes a part of the training images, stratified by class; validation images stay the same. The "
        "fewer there are, the more a network memorises them, and the more pretrained weights are worth.",
    ),
    (
        ("augmentation.mixup", "augmentation.mixing_probability"),
        "Mixup trains on blends of two images with the same blend of their labels. The network becomes smoother "
        "between classes and less sure of itself, and training accuracy is no longer comparable.",
    ),
    (
        ("augmentation.cutmix",),
        "CutMix pastes a rectangle of one image into another and mixes the labels by area. The network has to "
        "recognise parts of an object and not only its most telling one.",
    ),
    (
        (
            "augmentation.horizontal_flip",
            "augmentation.vertical_flip",
            "augmentation.alternating_flip",
            "augmentation.padded_crop",
            "augmentation.resized_crop",
            "augmentation.rotation",
            "augmentation.width_shift",
            "augmentation.height_shift",
            "augmentation.shear",
            "augmentation.zoom",
        ),
        "Geometric augmentation shows each image flipped, moved, cropped or turned, with its label kept. It teaches "
        "what should not matter and works against overfitting, as long as such images could occur.",
    ),
    (
        (
            "augmentation.brightness",
            "augmentation.contrast",
            "augmentation.saturation",
            "augmentation.hue",
            "augmentation.channel_shift",
            "augmentation.color_temperature",
        ),
        "Colour augmentation varies light and colour of each image. It makes the network rely less on them, and harms "
        "where colour itself tells classes apart.",
    ),
    (
        ("augmentation.randaugment_operations", "augmentation.randaugment_magnitude", "augmentation.trivial_augment"),
        "Automatic augmentation applies random operations from a fixed list to each image. One or two numbers replace "
        "the choice of operations; strong settings need more epochs.",
    ),
    (
        ("augmentation.",),
        "Noise, blur and erased rectangles hide some of each training image. The network must not depend on fine "
        "texture or on any single part.",
    ),
    (
        ("optimizer.kind", "optimizer.beta1", "optimizer.beta2", "optimizer.epsilon", "optimizer.other_learning_rate"),
        "The optimiser decides how a gradient becomes a step. Adaptive rules scale each weight's step by its past "
        "gradients and depend less on the learning rate; SGD with momentum treats all alike and often generalises as "
        "well once tuned.",
    ),
    (
        ("optimizer.learning_rate", "optimizer.learning_rates", "gradual.head_learning_rate"),
        "The learning rate is the length of each step. Too small a rate does not get far in the given epochs; too "
        "large a one overshoots, and the loss swings or diverges.",
    ),
    (
        ("optimizer.momentum", "optimizer.nesterov"),
        "Momentum keeps a share of the last step's direction. It speeds up along steady slopes and damps swings "
        "across them; too much of it overshoots.",
    ),
    (
        ("optimizer.weight_decay", "optimizer.weight_decays", "optimizer.weight_decay_form", "optimizer.decay_all"),
        "Weight decay pulls weights towards zero in every step. Smaller weights make a smoother function and overfit "
        "less; too much of it underfits.",
    ),
    (
        ("optimizer.l1",),
        "An L1 penalty adds the weights' absolute values to the loss. It drives many weights to nearly zero, which "
        "regularises by leaving few of them at work.",
    ),
    (
        ("optimizer.layer_decay",),
        "Layer-wise decay gives earlier blocks a smaller learning rate than later ones. Their general features are "
        "kept while the layers near the head adapt.",
    ),
    (
        ("optimizer.clip_norm", "optimizer.clip_value"),
        "Clipping bounds the gradient before the step. A single exploding batch can then not throw the weights far "
        "away, while ordinary steps stay as they are.",
    ),
    (
        ("optimizer.ema_share",),
        "An exponential moving average of the weights is validated and exported in their place. It averages out the "
        "noise of the last steps, much like a smaller learning rate at the end.",
    ),
    (
        ("schedule.",),
        "The schedule moves the learning rate over the epochs. Large steps first find a good region and small ones at "
        "the end settle in it; a warm-up spares fresh weights from steps that are too large.",
    ),
    (
        ("batch_size", "execution.micro_batch"),
        "The batch size is the number of images that one update averages over. Small batches make more and noisier "
        "updates per epoch; large ones use the device better and call for a larger learning rate.",
    ),
    (
        ("epochs", "gradual.head_epochs"),
        "The number of epochs is the training budget. More of them fit training images better, which helps validation "
        "until it overfits; the budgets differ here.",
    ),
    (
        ("early_stopping.",),
        "Early stopping ends training when validation has not improved for some epochs. It saves time and limits "
        "overfitting, and can stop at a plateau that would have ended.",
    ),
    (
        ("loss.label_smoothing",),
        "Label smoothing takes some probability from the true class and spreads it over all. The network is kept from "
        "growing ever more certain, which calibrates it better and raises its training loss by design.",
    ),
    (
        ("loss.",),
        "The loss is what training minimises in place of the error itself, and class weights say how much each class "
        "counts in it. Rare classes weigh more where weights balance them, at the price of the frequent ones.",
    ),
    (
        ("execution.",),
        "Execution says on what and in which pieces training computes. It is about time and memory; figures may "
        "differ in their last digits, and with cached views in which augmentations are seen.",
    ),
)


def principle_of(path: str, recipe: pb.TrainingSpec) -> str | None:
    """Return what a field does, in two sentences; None of fields that no variant changes.

    Args:
        path: dotted path of the field.
        recipe: the variant's; its mode says which text is of `mode`.
    """
    if path == "mode":
        return _MODES.get(recipe.mode)
    for paths, text in _GROUPS:
        if path in paths or any(one.endswith(".") and path.startswith(one) for one in paths):
            return text
    return None


def principles(paths: Collection[str], recipe: pb.TrainingSpec) -> str:
    """Return what several fields do, each group of them once, in the order of the paths."""
    found = (principle_of(path, recipe) for path in paths)
    return " ".join(dict.fromkeys(text for text in found if text is not None))
