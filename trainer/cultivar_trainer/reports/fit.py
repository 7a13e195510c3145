"""Whether a training underfits or overfits, with the numbers and the rule that say so.

Underfitting is a training error that is not low enough, overfitting a gap between training and test error that is too
large (Goodfellow, Bengio & Courville 2016, section 5.2); in time the latter shows as a validation loss that rises while
training loss falls (section 7.8). Training figures here are of images as training saw them: augmented, mixed, under
dropout, and while weights were changing. All of that makes them worse, so a gap that they show is real, and one that
they don't show may still be there.
"""

from cultivar.v1 import event_pb2 as ev
from cultivar_trainer.reports.course import Course, Setting

MIN_EPOCHS = 5
"""Below this many epochs nothing is said: two strips don't fit, nor does a rise after a turning point."""
CLOSE_GAP = 0.05
"""A gap of accuracy up to this, one image in twenty, is close. A larger one is overfitting where validation loss has
turned up."""
WIDE_GAP = 0.10
"""A gap of accuracy from here on is overfitting also where validation loss only stands still. It is also the widest
margin under which a gap counts as known."""
LEARNT = 0.8
"""How much of the way from chance to all right has to be learnt, or training images themselves are not learnt. Accuracy
is so corrected for chance by Cohen's kappa (1960)."""


def judge(course: Course, setting: Setting) -> ev.FitAssessed:
    """Return the verdict on a course.

    Those on overfitting and underfitting need a difference larger than its 95 % margin: the draw of images makes none.
    """
    if course.epochs < MIN_EPOCHS:
        why = f"{course.epochs} epoch(s): {MIN_EPOCHS} or more can be judged"
        return _verdict(ev.FIT_VERDICT_UNDETERMINED, why, "", "train for more epochs", course)
    if course.chance >= 1:
        why = "all validation images are of one class"
        return _verdict(ev.FIT_VERDICT_UNDETERMINED, why, "", "validate on images of several classes", course)
    enough = course.chance + LEARNT * (1 - course.chance)
    facts = _facts(course, setting)
    learns = course.level - course.level_margin > course.chance
    rule = _overfits(course, setting) if learns else ""
    if rule:
        return _verdict(ev.FIT_VERDICT_OVERFITTING, facts, rule, _against_overfitting(setting), course)
    if not learns and course.level_margin <= WIDE_GAP:
        rule = f"not above {course.chance:.3f}, which answering the most frequent class always would get right"
        return _verdict(ev.FIT_VERDICT_UNDERFITTING, facts, rule, _against_underfitting(course), course)
    if course.level + course.level_margin < enough:
        rule = f"below {enough:.3f}, which is {LEARNT:.0%} of the way from chance ({course.chance:.3f}) to all right"
        return _verdict(ev.FIT_VERDICT_UNDERFITTING, facts, rule, _against_underfitting(course), course)
    if course.still_falling:
        rule = "both losses were still falling"
        return _verdict(ev.FIT_VERDICT_UNDETERMINED, facts, rule, "train for more epochs", course)
    unsure = course.level < enough or (setting.mixed and course.level_margin > WIDE_GAP)
    if unsure or (not setting.mixed and course.gap_margin > WIDE_GAP):
        rule = f"{setting.val_images} validation images are too few to tell"
        return _verdict(ev.FIT_VERDICT_UNDETERMINED, facts, rule, "hold more images back for validation", course)
    rule, remedy = f"no gap above {WIDE_GAP:.2f}, and at least {enough:.3f} learnt", ""
    if course.turning_epoch is not None:
        rule += "; accuracy did not suffer from the rise of the loss: probabilities became too sure of themselves"
        remedy = "select by loss or smooth labels where probabilities matter (Guo et al. 2017)"
    return _verdict(ev.FIT_VERDICT_GOOD, facts, rule, remedy, course)


def _overfits(course: Course, setting: Setting) -> str:
    """Return the rule by which a course overfits; empty where it doesn't."""
    if course.gap > course.gap_margin:
        if course.turning_epoch is not None and course.gap > CLOSE_GAP:
            return f"a gap above {CLOSE_GAP:.2f} and its margin while validation loss has turned up"
        if course.gap > WIDE_GAP and not course.still_falling:
            return f"a gap above {WIDE_GAP:.2f} and its margin, and validation loss no longer falls"
    if setting.mixed and course.train_loss_fell_on and course.level_margin <= WIDE_GAP:
        return "validation loss has turned up while training loss fell on (accuracy of mixed images shows no gap)"
    return ""


def _facts(course: Course, setting: Setting) -> str:
    rise = course.last_val_loss / course.lowest_val_loss - 1 if course.lowest_val_loss > 0 else 0.0
    parts = [
        f"accuracy in the last {course.last_epochs} epochs: {course.train_accuracy:.3f} on {setting.train_images} "
        f"training images as seen, {course.val_accuracy:.3f} on {setting.val_images} validation images, a gap of "
        f"{course.gap:.3f} +- {course.gap_margin:.3f}",
        f"validation loss lowest in epoch {course.lowest_val_epoch} ({course.lowest_val_loss:.3f}), {rise:.0%} higher "
        "at the end",
    ]
    if setting.harder:
        verb = "makes" if len(setting.harder) == 1 else "make"
        parts.append(f"{', '.join(setting.harder)} {verb} training figures worse than validation figures")
    return "; ".join(parts)


def _against_overfitting(setting: Setting) -> str:
    wanted = [] if "augmentation" in setting.harder else ["augmentation"]
    return ", ".join(["more training images", *wanted, "weight decay or dropout, or fewer layers that learn"]) + (
        ": the published epoch is the best on validation images in any case"
    )


def _against_underfitting(course: Course) -> str:
    if course.train_loss_rose:
        return "a smaller learning rate: training loss itself ended above its lowest"
    if course.still_falling:
        return "more epochs or a larger learning rate: both losses were still falling"
    return "a larger network, more layers that learn, another learning rate, or less augmentation and weight decay"


def _verdict(verdict: ev.FitVerdict, facts: str, rule: str, remedy: str, course: Course) -> ev.FitAssessed:
    reason = f"{facts}. Rule: {rule}" if rule else facts
    return ev.FitAssessed(verdict=verdict, reason=reason, remedy=remedy, turning_epoch=course.turning_epoch)
