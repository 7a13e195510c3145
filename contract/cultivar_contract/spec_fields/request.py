"""Fields that say what is trained from what: data set, network, mode, weights."""

from cultivar.v1 import training_spec_pb2 as pb
from cultivar_contract.spec_fields.field import SpecField, enum_is

FIELDS = (
    SpecField(path="dataset", help="Data set to learn from; the newest version where none is named."),
    SpecField(path="model", help="Model that gets the new version.", default_help="the data set's name"),
    SpecField(path="architecture", help="Network to train; `cultivar architectures` lists them."),
    SpecField(path="mode", help="Which weights learn."),
    SpecField(
        path="weights",
        help="Pretrained weights: a member of torchvision's weight enum, a file in the weights folder, a model version "
        "or a finished job.",
    ),
    SpecField(
        path="last_blocks",
        help="Number of blocks before the head that learn; `cultivar describe` lists the blocks.",
        needs=enum_is("mode", pb.FINE_TUNING_MODE_LAST_BLOCKS),
        needs_help="mode last-blocks",
        default=1,
        minimum=1,
        maximum=1000,
    ),
    SpecField(
        path="trainable",
        help="Names of parameters that learn instead of those that the mode names, * for any text; the head always "
        "learns.",
        needs=enum_is("mode", pb.FINE_TUNING_MODE_FULL, pb.FINE_TUNING_MODE_HEAD, pb.FINE_TUNING_MODE_LAST_BLOCKS),
        needs_help="mode full, head or last-blocks",
        refused=True,
    ),
    SpecField(
        path="retain_blocks",
        help="Blocks, from the input on, that a pretrained network keeps; later ones are cut off and a new head "
        "follows; 0: all.",
        needs=lambda spec, _: spec.mode != pb.FINE_TUNING_MODE_SCRATCH,
        needs_help="pretrained weights",
        refused=True,
        default=0,
        minimum=0,
        maximum=1000,
        source="Yosinski et al. 2014",
    ),
)
