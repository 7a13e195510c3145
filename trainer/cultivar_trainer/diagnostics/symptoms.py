"""Signs that training goes wrong, by rules over gradients, losses and units.

The thresholds lie between what healthy and broken networks measure, by the table in docs/diagnostics.md.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from cultivar.v1 import event_pb2
from cultivar_trainer.diagnostics.units import FLAT_DISTANCE, FLAT_SHARE, UnitHealth, UnitKind

VANISHING_RATIO = 3e-4
"""Gradients vanish where those of the first layers are below this share of the last layer's, by their root mean square:
they shrink exponentially with depth (Hochreiter 1998; Glorot & Bengio 2010, figure 7). Healthy networks of the zoo have
5e-3 or more before training."""
EXPLODING_RATIO = 1e4
"""Gradients explode where a layer's are above this many times the last layer's: they grow exponentially with depth
(Bengio et al. 1994; Pascanu et al. 2013). Healthy networks of the zoo have 410 or less before training."""
EXPLODING_LOSS = 30.0
"""So does a loss this many times that of answers which favour no class, ln K for cross-entropy: training begins there
and no network that learns comes near it."""
STOPPED_SHARE = {UnitKind.DEAD: 0.9, UnitKind.SATURATED: 0.5}
"""A layer is told of where more than this share of its units has stopped: dead ones are zeros, of which sparse
networks have many, until a layer dies as a whole (Lu et al. 2019); saturated ones slow all layers before them (Glorot &
Bengio 2010, section 3)."""
_SYMPTOMS = {
    UnitKind.DEAD: event_pb2.SYMPTOM_DEAD_UNITS,
    UnitKind.SATURATED: event_pb2.SYMPTOM_SATURATED_UNITS,
}


def vanishing(scales: Mapping[str, float]) -> event_pb2.SymptomFound | None:
    """Judge gradients by layer, as root mean squares from the input on; None where they don't vanish.

    Only layers from the first on count: one between others may rest, as those do whose branch begins at zero.
    """
    last = _last(scales)
    if not last:
        return None
    affected = []
    for layer, scale in scales.items():
        if scale >= VANISHING_RATIO * last:
            break
        affected.append(layer)
    if not affected:
        return None
    worst = min(affected, key=scales.__getitem__)
    ratio = scales[worst] / last
    return event_pb2.SymptomFound(
        symptom=event_pb2.SYMPTOM_VANISHING_GRADIENT,
        layer=worst,
        value=ratio,
        threshold=VANISHING_RATIO,
        message=f"gradients vanish: that of {worst} is {ratio:.2g} of the last layer's, and below "
        f"{VANISHING_RATIO:g} (Hochreiter 1998) in the first {len(affected)} of {len(scales)} layers: use relu, "
        "network.batch_norm, shortcuts, or the gain that initialisation.scheme has by itself",
    )


def exploding(scales: Mapping[str, float]) -> event_pb2.SymptomFound | None:
    """Judge gradients by layer, as root mean squares from the input on; None where they don't explode."""
    if not scales:
        return None
    worst, last = max(scales, key=scales.__getitem__), _last(scales)  # the first of equals
    remedy = "use a smaller optimizer.learning_rate, optimizer.clip_norm or network.batch_norm"
    found = event_pb2.SymptomFound(symptom=event_pb2.SYMPTOM_EXPLODING_GRADIENT, layer=worst, threshold=EXPLODING_RATIO)
    if not math.isfinite(scales[worst]):
        count = sum(not math.isfinite(one) for one in scales.values())
        found.value = math.inf
        found.message = (
            f"gradients explode: that of {worst} is no finite number any more, nor that of {count} of {len(scales)} "
            f"layers (Pascanu et al. 2013): {remedy}"
        )
        return found
    if not last or scales[worst] <= EXPLODING_RATIO * last:
        return None
    count = sum(one > EXPLODING_RATIO * last for one in scales.values())
    found.value = scales[worst] / last
    found.message = (
        f"gradients explode: that of {worst} is {found.value:.2g} times the last layer's, and above "
        f"{EXPLODING_RATIO:g} (Pascanu et al. 2013) in {count} of {len(scales)} layers: {remedy}"
    )
    return found


def exploding_loss(ratio: float, layer: str) -> event_pb2.SymptomFound | None:
    """Judge a loss; None where it doesn't explode.

    Args:
        ratio: the loss over that of answers which favour no class; infinite where it is no finite number.
        layer: the one to name.
    """
    if math.isfinite(ratio) and ratio <= EXPLODING_LOSS:
        return None
    fact = "no finite number any more"
    if math.isfinite(ratio):
        fact = f"{ratio:.2g} times that of answers which favour no class (told from {EXPLODING_LOSS:g} times on)"
    return event_pb2.SymptomFound(
        symptom=event_pb2.SYMPTOM_EXPLODING_GRADIENT,
        layer=layer,
        value=ratio,
        threshold=EXPLODING_LOSS,
        message=f"training explodes, most in {layer}: the loss is {fact} (Pascanu et al. 2013): use a smaller "
        "optimizer.learning_rate, a longer schedule.warmup_epochs or optimizer.clip_norm",
    )


def stopped(units: Sequence[UnitHealth], kind: UnitKind) -> event_pb2.SymptomFound | None:
    """Judge units of one kind; None where too few of them have stopped in every layer."""
    threshold = STOPPED_SHARE[kind]
    layers = [one for one in units if one.kind is kind]
    affected = [one for one in layers if one.share > threshold]
    if not affected:
        return None
    worst = max(affected, key=lambda one: one.share)  # the first of equals
    return event_pb2.SymptomFound(
        symptom=_SYMPTOMS[kind],
        layer=worst.layer.partition("#")[0],
        value=worst.share,
        threshold=threshold,
        message=f"{_fact(worst)}, and above {threshold:.0%} in {len(affected)} of {len(layers)} layers {_remedy(kind)}",
    )


def found(scales: Mapping[str, float], units: Sequence[UnitHealth]) -> Iterable[event_pb2.SymptomFound]:
    """Yield what one look at a network tells."""
    judged = (vanishing(scales), exploding(scales), *(stopped(units, kind) for kind in UnitKind))
    yield from (one for one in judged if one is not None)


def _last(scales: Mapping[str, float]) -> float:
    """Return the last layer's scale, which others are compared with; 0 where there are none, or it is infinite."""
    if len(scales) < 2:
        return 0.0
    last = list(scales.values())[-1]
    return last if math.isfinite(last) else 0.0


def _fact(health: UnitHealth) -> str:
    if health.kind is UnitKind.DEAD:
        return f"{health.share:.0%} of the {health.units} units of {health.layer} answer 0 to every image looked at"
    return (
        f"{health.share:.0%} of the {health.units} units of {health.layer} are within {FLAT_DISTANCE:g} of their flat "
        f"ends for {FLAT_SHARE:.0%} of the images looked at"
    )


def _remedy(kind: UnitKind) -> str:
    if kind is UnitKind.DEAD:
        return (
            "(Lu et al. 2019): use a smaller optimizer.learning_rate, network.activation leaky-relu or "
            "network.batch_norm"
        )
    return (
        "(Glorot & Bengio 2010): use a smaller optimizer.learning_rate or initialisation.gain, relu, or "
        "network.batch_norm"
    )
