"""Fields about what is measured of a network while it learns."""

from cultivar_contract.architectures import Architecture
from cultivar_contract.spec_fields.field import Spec, SpecField


def _has_tensorboard(spec: Spec, _: Architecture) -> bool:
    return spec.diagnostics.tensorboard


def _switch(name: str, text: str, *, default: bool, source: str = "") -> SpecField:
    return SpecField(path=f"diagnostics.{name}", help=text, default=default, source=source)


def _shown(name: str, text: str) -> SpecField:
    return SpecField(
        path=f"diagnostics.{name}",
        help=text,
        default=False,
        needs=_has_tensorboard,
        needs_help="diagnostics.tensorboard",
    )


FIELDS = (
    _switch(
        "tensorboard",
        "TensorBoard scalars: losses, accuracies, learning rate, gradient norms, unit health; 1 kB an epoch.",
        default=True,
    ),
    _shown(
        "sample_images",
        "TensorBoard pictures of eight training and eight validation images as the network sees them; at most 2 MB a "
        "measurement.",
    ),
    _shown(
        "parameter_histograms", "TensorBoard histograms of parameters that learn; 1 kB for each tensor a measurement."
    ),
    _shown(
        "gradient_histograms",
        "TensorBoard histograms of gradients on a hundred validation images; 1 kB for each tensor a measurement.",
    ),
    _switch(
        "gradient_norms",
        "Warnings of vanishing and exploding gradients, by layer.",
        default=True,
        source="Hochreiter 1998; Pascanu et al. 2013",
    ),
    _switch(
        "unit_health",
        "Warnings of dead and saturated units, by layer.",
        default=True,
        source="Lu et al. 2019; Glorot & Bengio 2010",
    ),
    SpecField(
        path="diagnostics.every_epochs",
        help="Epochs between two measurements; 0: after epochs 1, 2, 4, 8 ... Always before the first update and after "
        "the last.",
        unit="epochs",
        default=0,
        minimum=0,
        maximum=1_000_000,
    ),
)
