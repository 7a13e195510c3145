"""Numbers, times and figures of training as people read them."""

from google.protobuf.timestamp_pb2 import Timestamp

from cultivar.v1 import evaluation_pb2, event_pb2, state_pb2, training_pb2
from cultivar_client.enums import enum_label

STATE = state_pb2.DESCRIPTOR.enum_types_by_name["TrainingJobState"]
METHOD = training_pb2.DESCRIPTOR.enum_types_by_name["CombinationMethod"]
FIT = event_pb2.DESCRIPTOR.enum_types_by_name["FitVerdict"]
SYMPTOM = event_pb2.DESCRIPTOR.enum_types_by_name["Symptom"]
PHASE = state_pb2.DESCRIPTOR.enum_types_by_name["TrainingPhase"]


def count(number: int) -> str:
    """Returns a whole number with its thousands apart: `2 236 682`."""
    return f"{number:,}".replace(",", " ")


def size(size_bytes: int) -> str:
    """Returns a size in the unit that keeps it short: `8.9 MB`."""
    value, units = float(size_bytes), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"


def duration(seconds: float) -> str:
    """Returns a length of time: `12 s`, `3 min 20 s`, `1 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(time: Timestamp) -> str:
    """Returns a time in UTC to the second, empty where it is not set."""
    return time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S") if time.seconds else ""


def state(number: int) -> str:
    """Returns a job state's name: `running`."""
    return enum_label(STATE, number)


def phase(number: int) -> str:
    """Returns a phase's name: `caching-features`; empty where there is none."""
    return enum_label(PHASE, number) if number else ""


def attempts(job: training_pb2.TrainingJob) -> str:
    """Returns which attempt at a job this is, and how many in a row came to nothing."""
    if not job.attempts_without_progress:
        return str(job.attempt)
    return f"{job.attempt}, the last {job.attempts_without_progress} without a newer checkpoint"


def placement_line(placed: event_pb2.Placed) -> str:
    """Returns where a job runs and why: `cuda:1 (3.2 GB expected, 20.1 GB were free): most free memory`."""
    expected = f"{size(placed.predicted_bytes)} expected, " if placed.predicted_bytes else ""
    memory = f" ({expected}{size(placed.free_bytes)} were free)" if placed.free_bytes else ""
    return f"{placed.device}{memory}{f': {placed.reason}' if placed.reason else ''}"


def progress_line(progress: event_pb2.Progress) -> str:
    """Returns how far a step is: `decoding  1 200/6 000 images  eta 4 s`."""
    parts = [progress.stage]
    if progress.unit == "bytes":
        done, total, unit = size(progress.done), size(progress.total), ""
    else:
        done, total, unit = count(progress.done), count(progress.total), f" {progress.unit}" if progress.unit else ""
    if progress.total:
        parts.append(f"{done}/{total}{unit}")
    elif progress.done:
        parts.append(f"{done}{unit}")
    if progress.HasField("eta_seconds"):
        parts.append(f"eta {duration(progress.eta_seconds)}")
    return "  ".join(parts)


def epoch_line(epoch: event_pb2.EpochFinished) -> str:
    """Returns an epoch's figures on one line, with `*` for the best so far."""
    candidate = f"candidate {epoch.candidate}  " if epoch.candidate else ""
    macro_f1 = f"  val_macro_f1 {epoch.val_macro_f1:.4f}" if epoch.val_macro_f1 else ""
    line = (
        f"{candidate}epoch {epoch.epoch:{len(str(epoch.epochs))}d}/{epoch.epochs}  lr {epoch.learning_rate:.3g}"
        f"  loss {epoch.train_loss:.4f}  acc {epoch.train_accuracy:.4f}"
        f"  val_loss {epoch.val_loss:.4f}  val_acc {epoch.val_accuracy:.4f}  val_top5 {epoch.val_top5_accuracy:.4f}"
        f"{macro_f1}  {epoch.images_per_second:.0f} images/s  eta {duration(epoch.eta_seconds)}"
    )
    return line + ("  *" if epoch.best else "")


def epoch_summary(epoch: event_pb2.EpochFinished) -> str:
    """Returns an epoch's chief figures, short enough to stand beside a bar in 80 columns."""
    return (
        f"{f'candidate {epoch.candidate}  ' if epoch.candidate else ''}"
        f"epoch {epoch.epoch}/{epoch.epochs}  loss {epoch.train_loss:.4f}  val_acc {epoch.val_accuracy:.4f}"
        f"  eta {duration(epoch.eta_seconds)}"
    )


def candidate_line(candidate: event_pb2.CandidateFinished) -> str:
    """Returns what became of one pair of learning rate and weight decay, with `*` for the best so far."""
    became = f"best epoch {candidate.best_epoch}  {candidate.value:.4f}" if candidate.best_epoch else "diverged"
    line = (
        f"candidate {candidate.candidate}/{candidate.candidates}  lr {candidate.learning_rate:.3g}"
        f"  weight decay {candidate.weight_decay:.3g}  {became}"
    )
    return line + ("  *" if candidate.best else "")


def fit_line(fit: event_pb2.FitAssessed) -> str:
    """Returns whether a training underfits or overfits, and why."""
    return f"{enum_label(FIT, fit.verdict)}: {fit.reason}"


def normalisation_line(measured: event_pb2.NormalisationMeasured) -> str:
    """Returns what the training images' channels measure."""
    mean, std = (", ".join(f"{one:.4f}" for one in values) for values in (measured.mean, measured.std))
    return f"normalisation  mean {mean}  std {std}  ({count(measured.image_count)} images)"


def metrics_line(metrics: event_pb2.SplitMetrics) -> str:
    """Returns the exported graph's figures on one split."""
    macro_f1 = f"  macro_f1 {metrics.macro_f1:.4f}" if metrics.macro_f1 else ""  # older versions have none
    return (
        f"{metrics.split}  loss {metrics.loss:.4f}  acc {metrics.accuracy:.4f}  top5 {metrics.top5_accuracy:.4f}"
        f"{macro_f1}  ({count(metrics.image_count)} images)"
    )


def combination_line(combination: training_pb2.Combination) -> str:
    """Returns what becomes one model, and how: `ensemble of models/a/versions/1, trainingJobs/2`; empty for none."""
    if not combination.method:
        return ""
    return f"{enum_label(METHOD, combination.method)} of {', '.join(combination.members)}"


def member_lines(compared: event_pb2.MembersCompared) -> list[str]:
    """Returns how a combined model compares with its members, a line for each of them and two for all."""
    if not compared.members:
        return []
    lines = [
        f"{one.model_version}  {metrics_line(one.validation)}{'' if one.kept else '  left out'}"
        for one in compared.members
    ]
    return [
        *lines,
        f"mean of members  acc {compared.mean_accuracy:.4f}  disagreement {compared.disagreement:.4f}",
        f"combined  acc {compared.combined_accuracy:.4f}",
    ]


def evaluation_line(evaluation: evaluation_pb2.Evaluation) -> str:
    """Returns what was measured of a version on which images, and how many models were measured on them."""
    metrics = evaluation.metrics
    return (
        f"{evaluation.dataset} {metrics.split}  acc {metrics.accuracy:.4f}"
        f"  models measured on these images: {count(evaluation.models_measured)}"
    )


def accuracy_of(metrics: list[event_pb2.SplitMetrics], split: str) -> str:
    """Returns the accuracy on one split, empty where it was not measured."""
    return next((f"{one.accuracy:.4f}" for one in metrics if one.split == split), "")


def export_line(export: event_pb2.ExportVerified) -> str:
    """Returns how the exported graph compared with PyTorch."""
    return (
        f"export verified on {count(export.image_count)} images: largest probability difference"
        f" {export.max_probability_difference:.1e}, {export.top1_differences} other classes, {size(export.file_bytes)}"
    )


def symptom_line(symptom: event_pb2.SymptomFound) -> str:
    """Returns a sign of training that goes wrong, as the trainer words it."""
    return f"{enum_label(SYMPTOM, symptom.symptom)}  {symptom.message}"


def reproduction_lines(reproduction: event_pb2.Reproduction) -> list[str]:
    """Returns what was compared, one thing a line, and what differs between the hosts."""
    lines = []
    for one in reproduction.comparisons:
        if one.same:
            lines.append(f"same    {one.what}  {_shortened(one.found)}")
        else:
            lines.append(f"DIFFERS {one.what}  {_shortened(one.expected)} then, {_shortened(one.found)} now")
    return lines + [f"environment  {difference}" for difference in reproduction.environment]


def _shortened(value: str) -> str:
    return value[:16] if len(value) == 64 else value  # a digest, of which the beginning tells enough
