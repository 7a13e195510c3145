"""Fields about learning: epochs and batches, optimiser, schedule, loss, selection."""

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.architectures import Architecture
from cultivar_contract.spec_fields.field import Spec, SpecField, enum_is

_ADAM = (pb.OPTIMIZER_KIND_ADAM, pb.OPTIMIZER_KIND_ADAMW)
_ADAPTIVE = (*_ADAM, pb.OPTIMIZER_KIND_ADAGRAD, pb.OPTIMIZER_KIND_RMSPROP)
_DECOUPLED = (pb.OPTIMIZER_KIND_ADAMW, pb.OPTIMIZER_KIND_MUON)
_ADJUSTED = (pb.FINE_TUNING_MODE_FULL, pb.FINE_TUNING_MODE_LAST_BLOCKS)
GRADUAL_FACTOR = 0.1
"""Learning rate of GRADUAL's second phase, in the first phase's."""


def schedule_epochs(spec: Spec) -> int:
    """Return the epochs that the schedule spans: all, or those of GRADUAL's second phase."""
    return max(1, spec.epochs - (spec.gradual.head_epochs if spec.mode == pb.FINE_TUNING_MODE_GRADUAL else 0))


def _learning_rate(spec: Spec, _: Architecture) -> float:
    if spec.mode == pb.FINE_TUNING_MODE_GRADUAL:
        return GRADUAL_FACTOR * spec.gradual.head_learning_rate
    adjusted = spec.mode in _ADJUSTED
    match spec.optimizer.kind:
        case pb.OPTIMIZER_KIND_SGD:
            return 3e-3 if adjusted else 5e-2
        case pb.OPTIMIZER_KIND_ADAGRAD:
            return 3e-3 if adjusted else 1e-2
        case pb.OPTIMIZER_KIND_MUON:
            return 2e-2
    return 3e-4 if adjusted else 1e-3


def _weight_decay(spec: Spec, _: Architecture) -> float:
    if spec.optimizer.kind in _DECOUPLED:
        return 1e-2
    return 5e-4 if spec.optimizer.kind == pb.OPTIMIZER_KIND_SGD else 0.0


def _warmup_epochs(spec: Spec, _: Architecture) -> float:
    rises = spec.schedule.kind in (pb.SCHEDULE_KIND_ONE_CYCLE, pb.SCHEDULE_KIND_CYCLIC)
    if rises or spec.mode == pb.FINE_TUNING_MODE_HEAD:
        return 0.0
    return min(5.0, 0.2 * schedule_epochs(spec))


def _final_factor(spec: Spec, _: Architecture) -> float:
    return {pb.SCHEDULE_KIND_EXPONENTIAL: 0.01, pb.SCHEDULE_KIND_ONE_CYCLE: 1e-4}.get(spec.schedule.kind, 0.0)


PASSES = (
    SpecField(path="epochs", help="Passes over the training images.", default=20, minimum=1, maximum=10_000),
    SpecField(
        path="batch_size",
        help="Images per update; 0: all training images.",
        unit="images",
        default=64,
        minimum=0,
        maximum=65_536,
    ),
    SpecField(path="seed", help="Seed of initial weights, order and augmentation.", default=0),
    SpecField(
        path="gradual.head_epochs",
        help="Epochs in which the head learns alone, counted in epochs.",
        unit="epochs",
        needs=enum_is("mode", pb.FINE_TUNING_MODE_GRADUAL),
        needs_help="mode gradual",
        default=lambda spec, _: max(1, min(5, spec.epochs // 3)),
        default_help="a third of the epochs, at least 1, at most 5",
        minimum=1,
        maximum=10_000,
        source="Kumar et al. 2022",
    ),
    SpecField(
        path="gradual.head_learning_rate",
        help="Learning rate while the head learns alone; it stays.",
        needs=enum_is("mode", pb.FINE_TUNING_MODE_GRADUAL),
        needs_help="mode gradual",
        default=1e-3,
        above=0,
        maximum=1e6,
    ),
)

OPTIMIZER = (
    SpecField(
        path="optimizer.kind",
        help="Update rule.",
        default=pb.OPTIMIZER_KIND_ADAMW,
        source="Sutskever et al. 2013; Duchi et al. 2011; Hinton 2012; Kingma & Ba 2015; Loshchilov & Hutter 2019; "
        "Jordan et al. 2024",
    ),
    SpecField(path="optimizer.learning_rates", help="Learning rates to try; validation selects.", above=0, maximum=1e6),
    SpecField(path="optimizer.weight_decays", help="Weight decays to try; validation selects.", minimum=0, maximum=1e3),
    SpecField(
        path="optimizer.learning_rate",
        help="Peak learning rate.",
        needs=lambda spec, _: not spec.optimizer.learning_rates,
        needs_help="no optimizer.learning_rates",
        refused=True,
        default=_learning_rate,
        default_help="adamw, adam and rmsprop 0.001, sgd 0.05, adagrad 0.01, muon 0.02; in modes full and last-blocks "
        "adamw, adam and rmsprop 0.0003, sgd and adagrad 0.003; in mode gradual a tenth of gradual.head_learning_rate",
        above=0,
        maximum=1e6,
    ),
    SpecField(
        path="optimizer.momentum",
        help="Share of the old direction in the new one.",
        needs=enum_is("optimizer.kind", pb.OPTIMIZER_KIND_SGD, pb.OPTIMIZER_KIND_RMSPROP, pb.OPTIMIZER_KIND_MUON),
        needs_help="optimizer.kind sgd, rmsprop or muon",
        default=lambda spec, _: {pb.OPTIMIZER_KIND_RMSPROP: 0.0, pb.OPTIMIZER_KIND_MUON: 0.95}.get(
            spec.optimizer.kind, 0.9
        ),
        default_help="sgd 0.9, rmsprop 0, muon 0.95",
        minimum=0,
        maximum=0.9999,
    ),
    SpecField(
        path="optimizer.nesterov",
        help="Nesterov's form of momentum.",
        needs=enum_is("optimizer.kind", pb.OPTIMIZER_KIND_SGD, pb.OPTIMIZER_KIND_MUON),
        needs_help="optimizer.kind sgd or muon",
        default=lambda spec, _: spec.optimizer.momentum > 0,
        default_help="true where momentum is above 0",
    ),
    SpecField(
        path="optimizer.beta1",
        help="Share of the old mean of gradients.",
        needs=enum_is("optimizer.kind", *_ADAM),
        needs_help="optimizer.kind adam or adamw",
        default=0.9,
        minimum=0,
        maximum=0.9999,
    ),
    SpecField(
        path="optimizer.beta2",
        help="Share of the old mean of squared gradients.",
        needs=enum_is("optimizer.kind", *_ADAM, pb.OPTIMIZER_KIND_RMSPROP),
        needs_help="optimizer.kind adam, adamw or rmsprop",
        default=lambda spec, _: 0.99 if spec.optimizer.kind == pb.OPTIMIZER_KIND_RMSPROP else 0.999,
        default_help="adam and adamw 0.999, rmsprop 0.99",
        minimum=0,
        maximum=0.999_999,
    ),
    SpecField(
        path="optimizer.epsilon",
        help="Added to the divisor.",
        needs=enum_is("optimizer.kind", *_ADAPTIVE),
        needs_help="optimizer.kind adam, adamw, adagrad or rmsprop",
        default=lambda spec, _: 1e-10 if spec.optimizer.kind == pb.OPTIMIZER_KIND_ADAGRAD else 1e-8,
        default_help="adam, adamw and rmsprop 1e-8, adagrad 1e-10",
        minimum=1e-30,  # float32 holds it
        maximum=1,
    ),
    SpecField(
        path="optimizer.other_learning_rate",
        help="Peak learning rate of what muon leaves to sgd: all but the filters of convolutions.",
        needs=enum_is("optimizer.kind", pb.OPTIMIZER_KIND_MUON),
        needs_help="optimizer.kind muon",
        default=5e-2,
        above=0,
        maximum=1e6,
    ),
    SpecField(
        path="optimizer.weight_decay",
        help="Decay of weights, not of biases or normalisation.",
        needs=lambda spec, _: not spec.optimizer.weight_decays,
        needs_help="no optimizer.weight_decays",
        refused=True,
        default=_weight_decay,
        default_help="adamw and muon 0.01, sgd 0.0005, else 0",
        minimum=0,
        maximum=1e3,
    ),
    SpecField(
        path="optimizer.weight_decay_form",
        help="Where weight decay acts: in the loss as weight_decay / 2 times the sum of squares (L2), or beside the "
        "update as learning_rate times weight_decay.",
        default=lambda spec, _: (
            pb.WEIGHT_DECAY_FORM_DECOUPLED if spec.optimizer.kind in _DECOUPLED else pb.WEIGHT_DECAY_FORM_IN_LOSS
        ),
        default_help="decoupled for adamw and muon, else in-loss",
        source="Loshchilov & Hutter 2019",
    ),
    SpecField(path="optimizer.decay_all", help="Whether biases and normalisation decay too.", default=False),
    SpecField(
        path="optimizer.l1",
        help="Factor of the sum of weights' absolute values in the loss.",
        default=0.0,
        minimum=0,
        maximum=1e3,
        source="Tibshirani 1996",
    ),
    SpecField(
        path="optimizer.layer_decay",
        help="Factor of the learning rate from each block to the one before it, the head's being 1.",
        default=1.0,
        above=0,
        maximum=1,
        source="Howard & Ruder 2018",
    ),
    SpecField(
        path="optimizer.clip_norm",
        help="Largest Euclidean norm of all gradients together; longer ones are scaled down; 0: off.",
        default=0.0,
        minimum=0,
        maximum=1e6,
        source="Pascanu et al. 2013",
    ),
    SpecField(
        path="optimizer.clip_value",
        help="Largest absolute value of a gradient's entry; larger ones are cut; 0: off.",
        default=0.0,
        minimum=0,
        maximum=1e6,
    ),
    SpecField(
        path="optimizer.ema_share",
        help="Share of the job's updates that an exponential moving average of the weights looks back on; validation, "
        "selection and export then use the average; 0: off.",
        default=0.0,
        minimum=0,
        maximum=1,
        source="Polyak & Juditsky 1992",
    ),
)

SCHEDULE = (
    SpecField(
        path="schedule.kind",
        help="Shape of the learning rate after warm-up.",
        default=pb.SCHEDULE_KIND_COSINE,
        source="Loshchilov & Hutter 2017; Smith 2017; Smith & Topin 2019",
    ),
    SpecField(
        path="schedule.warmup_epochs",
        help="Epochs in which the learning rate rises linearly to its peak.",
        unit="epochs",
        default=_warmup_epochs,
        default_help="a fifth of the epochs, at most 5; none in mode head and for cyclic and one-cycle",
        minimum=0,
        maximum=10_000,
        source="Goyal et al. 2017",
    ),
    SpecField(
        path="schedule.step_epochs",
        help="Epochs between two steps.",
        unit="epochs",
        needs=enum_is("schedule.kind", pb.SCHEDULE_KIND_STEP),
        needs_help="schedule.kind step",
        default=lambda spec, _: max(1, schedule_epochs(spec) // 3),
        default_help="a third of the epochs, at least 1",
        minimum=1,
        maximum=10_000,
    ),
    SpecField(
        path="schedule.milestones",
        help="Epochs after which the learning rate steps, rising.",
        unit="epochs",
        needs=enum_is("schedule.kind", pb.SCHEDULE_KIND_MULTISTEP),
        needs_help="schedule.kind multistep",
        default=lambda spec, _: sorted(
            {epoch for epoch in (schedule_epochs(spec) // 2, 3 * schedule_epochs(spec) // 4) if epoch}
        ),
        default_help="a half and three quarters of the epochs",
        minimum=1,
        maximum=10_000,
        max_items=64,
    ),
    SpecField(
        path="schedule.step_factor",
        help="Factor of each step.",
        needs=enum_is("schedule.kind", pb.SCHEDULE_KIND_STEP, pb.SCHEDULE_KIND_MULTISTEP, pb.SCHEDULE_KIND_PLATEAU),
        needs_help="schedule.kind step, multistep or plateau",
        default=0.1,
        above=0,
        maximum=1,
    ),
    SpecField(
        path="schedule.plateau_patience",
        help="Epochs without a better selection metric after which the learning rate steps.",
        unit="epochs",
        needs=enum_is("schedule.kind", pb.SCHEDULE_KIND_PLATEAU),
        needs_help="schedule.kind plateau",
        default=3,
        minimum=1,
        maximum=10_000,
    ),
    SpecField(
        path="schedule.start_factor",
        help="Share of the peak to begin on.",
        needs=enum_is("schedule.kind", pb.SCHEDULE_KIND_CYCLIC, pb.SCHEDULE_KIND_ONE_CYCLE),
        needs_help="schedule.kind cyclic or one-cycle",
        default=lambda spec, _: 0.1 if spec.schedule.kind == pb.SCHEDULE_KIND_CYCLIC else 0.04,
        default_help="cyclic 0.1, one-cycle 0.04",
        minimum=0,
        maximum=1,
    ),
    SpecField(
        path="schedule.final_factor",
        help="Share of the peak to end on.",
        needs=enum_is(
            "schedule.kind", pb.SCHEDULE_KIND_EXPONENTIAL, pb.SCHEDULE_KIND_LINEAR, pb.SCHEDULE_KIND_ONE_CYCLE
        ),
        needs_help="schedule.kind exponential, linear or one-cycle",
        default=_final_factor,
        default_help="exponential 0.01, linear 0, one-cycle 0.0001",
        minimum=0,
        maximum=1,
    ),
    SpecField(
        path="schedule.cycle_epochs",
        help="Epochs of one rise and fall.",
        unit="epochs",
        needs=enum_is("schedule.kind", pb.SCHEDULE_KIND_CYCLIC),
        needs_help="schedule.kind cyclic",
        default=lambda spec, _: max(1.0, schedule_epochs(spec) / 5),
        default_help="a fifth of the epochs, at least 1",
        above=0,
        maximum=10_000,
    ),
    SpecField(
        path="schedule.rise",
        help="Share of the updates in which the learning rate rises.",
        needs=enum_is("schedule.kind", pb.SCHEDULE_KIND_ONE_CYCLE),
        needs_help="schedule.kind one-cycle",
        default=0.3,
        above=0,
        maximum=1,
    ),
)

LOSS = (
    SpecField(
        path="loss.kind",
        help="Quantity that training minimises.",
        default=pb.LOSS_KIND_CROSS_ENTROPY,
        source="Wightman et al. 2021; Weston & Watkins 1999",
    ),
    SpecField(
        path="loss.label_smoothing",
        help="Share of the target's probability that is spread evenly over all classes.",
        needs=enum_is("loss.kind", pb.LOSS_KIND_CROSS_ENTROPY, pb.LOSS_KIND_BINARY_CROSS_ENTROPY),
        needs_help="loss.kind cross-entropy or binary-cross-entropy",
        refused=True,
        default=0.0,
        minimum=0,
        maximum=0.99,
        source="Szegedy et al. 2016",
    ),
    SpecField(
        path="loss.balance_classes",
        help="Whether classes weigh inversely to their number of training images.",
        default=False,
    ),
    SpecField(
        path="loss.class_weights", help="Weights of classes by class id; others weigh 1.", minimum=1e-6, maximum=1e6
    ),
)

SELECTION = (
    SpecField(
        path="selection_metric",
        help="Validation figure that chooses the exported epoch; ties go to the earliest.",
        default=pb.SELECTION_METRIC_TOP1,
    ),
    SpecField(
        path="early_stopping.patience",
        help="Epochs without a better selection metric after which training ends; 0: never.",
        unit="epochs",
        default=0,
        minimum=0,
        maximum=10_000,
        source="Prechelt 1998",
    ),
    SpecField(
        path="early_stopping.min_delta",
        help="Smallest improvement of the selection metric that counts.",
        needs=lambda spec, _: spec.early_stopping.patience > 0,
        needs_help="early_stopping.patience",
        default=0.0,
        minimum=0,
        maximum=1e6,
    ),
    SpecField(
        path="ensemble.members",
        help="Members, each a job of its own, whose probabilities are averaged in one graph; 0 or 1: no ensemble.",
        unit="members",
        default=0,
        minimum=0,
        maximum=32,
        source="Lakshminarayanan et al. 2017",
    ),
    SpecField(
        path="ensemble.sampling",
        help="What makes the members differ.",
        default=pb.ENSEMBLE_SAMPLING_SEEDS,
        needs=lambda spec, _: spec.ensemble.members > 1,
        needs_help="ensemble.members above 1",
        source="Breiman 1996",
    ),
)

FIELDS = (*PASSES, *OPTIMIZER, *SCHEDULE, *LOSS, *SELECTION)
