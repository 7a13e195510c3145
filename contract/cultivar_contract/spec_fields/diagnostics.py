"""Fields about what is measured of a network while it learns."""

from cultivar_contract.spec_fields.field import SpecField


def _switch(name: str, text: str, *, default: bool) -> SpecField:
    return SpecField(path=f"diagnostics.{name}", help=text, default=default, built=False)


FIELDS = (
    _switch("tensorboard", "TensorBoard scalars: losses, accuracies, learning rate.", default=True),
    _switch("sample_images", "TensorBoard pictures of images as the network sees them.", default=False),
    _switch("parameter_histograms", "TensorBoard histograms of parameters.", default=False),
    _switch("gradient_histograms", "TensorBoard histograms of gradients on validation images.", default=False),
    _switch("gradient_norms", "Warnings of vanishing and exploding gradients, by layer.", default=True),
    _switch("unit_health", "Warnings of dead and saturated units, by layer.", default=True),
    SpecField(
        path="diagnostics.every_epochs",
        help="Epochs between two measurements; 0: before the first update, after epochs 1, 2, 4, 8 ... and the last.",
        unit="epochs",
        default=0,
        minimum=0,
        maximum=1_000_000,
        built=False,
    ),
)
