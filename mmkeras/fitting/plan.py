"""What `mk.fit` decides before it trains, and why."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmkeras import fusion as fusions
from mmkeras.data import Report, Source, plan_modalities, propose
from mmkeras.data.names import name_uniquely, suggest
from mmkeras.fitting.groups import cut, find_groups
from mmkeras.modalities import Modality
from mmkeras.pipeline import check_rows, keep_usable
from mmkeras.row_model import adapt_modalities, check_modalities
from mmkeras.targets import ClassTarget, Target, propose_target
from mmkeras.tasks import Classifier, Task, find_task

FUSIONS = ("gated", "mean_logits", "cross_attention")
_FEWEST_ROWS = 20
_RARE = 1 / 3  # of two classes: below it accuracy says little
_BATCHES = {1_500: 16, 8_000: 32, 20_000: 64}  # rows up to which a batch has so many; small data needs more steps
_LARGE_BATCH = 128
_STEPS, _EPOCHS = 4_000, (8, 40)
_MIXED_ROWS, _MIXUP = 2_000, 0.2  # up to which rows of sound and images are mixed


@dataclass(frozen=True)
class Decision:
    """What was decided, and why: a row of the table that `mk.fit` prints."""

    what: str
    choice: str
    why: str


@dataclass(frozen=True)
class Plan:
    """All that `mk.fit` decides before it trains.

    Attributes:
        task: the class of the model.
        target: what is predicted, which knows its classes or its statistics.
        declared: for each input the modalities that are tried, as they were declared.
        variants: the same by the name of their encoder, with what they learned from the training rows.
        fusions: by name.
        metric: by which models are compared.
        train, validation: the rows to learn from, and those to choose by; all usable.
        batch_size, epochs, mixup: of each training, where the time allows.
        problems: what is wrong with the cells.
        decisions: what was decided, and why.
        doubts: what a person should look at, in words.
    """

    task: type[Task]
    target: Target
    declared: Mapping[str, Sequence[Modality]]
    variants: Mapping[str, Mapping[str, Modality]]
    fusions: Mapping[str, fusions.Fusion]
    metric: str
    train: Source
    validation: Source
    batch_size: int
    epochs: int
    mixup: float
    problems: Report
    decisions: tuple[Decision, ...]
    doubts: tuple[str, ...]

    def __str__(self):
        return "\n".join([format_decisions(self.decisions), *(f"Look at this: {doubt}" for doubt in self.doubts)])


def format_decisions(decisions: Sequence[Decision]) -> str:
    """A table of decisions as text."""
    widths = [max(len(getattr(decision, part)) for decision in decisions) for part in ("what", "choice")]
    lines = [f"{'decided':<{widths[0]}}  {'as':<{widths[1]}}  why"]
    lines += [f"{d.what:<{widths[0]}}  {d.choice:<{widths[1]}}  {d.why}" for d in decisions]
    return "\n".join(line.rstrip() for line in lines)


def make_plan(
    source: Source,
    target: str | Sequence[str] | Target | None,
    modalities: Mapping[str, Modality | Sequence[Modality]] | None,
    validation: Source | None,
    ignore: Sequence[str],
    group: str | None,
    chosen_fusions: Sequence | None,
    metric: str | None,
    seconds: float,
    seed: int,
) -> Plan:
    """Decides what `mk.fit` was not told: see there for the arguments."""
    decisions, doubts = [], []
    target = source.target if target is None else target
    if target is None:
        raise ValueError(f"{source.name} has no target column: name it by mk.fit(..., target='<column>').")
    proposals = _propose(source, target, [*ignore] + ([group] if group else []))
    target, target_why, target_doubts = _choose_target(source, target, proposals)
    doubts += target_doubts
    task = find_task(target)
    decisions.append(Decision("task", f"mk.{task.__name__}", target_why))
    epochs = _choose_epochs(len(source))
    if modalities is None:
        variants, found = _choose_variants(source, proposals, epochs, seconds)
        decisions += found
    else:
        variants = {name: _name_variants(name, given) for name, given in modalities.items()}
        decisions += [Decision(f"input '{name}'", " or ".join(tried), "as given") for name, tried in variants.items()]

    defaults = check_modalities({name: next(iter(tried.values())) for name, tried in variants.items()})
    problems = check_rows(source, defaults, target)
    problems.warn(stacklevel=5)
    usable = keep_usable(source, problems)
    if len(usable) < _FEWEST_ROWS:
        raise ValueError(
            f"mk.fit sets rows apart to choose among models by, and needs at least {_FEWEST_ROWS} usable rows. "
            f"Received: {len(usable)} of {len(source)}\n{problems}"
        )
    if not target.is_adapted:
        target.adapt(usable.values(target.columns))
        usable = keep_usable(usable, check_rows(usable, {}, target))
    train, validation, decision, doubt = _set_apart(usable, validation, proposals, group, target, defaults, seed)
    decisions.append(decision)
    doubts += doubt
    metric, why = _choose_metric(metric, target, validation)
    decisions.append(Decision("metric", metric, why))
    batch_size = _choose_batch_size(len(train))
    mixup = _MIXUP if len(train) < _MIXED_ROWS and task is Classifier and _have_media(defaults) else 0.0
    why = f"{epochs * math.ceil(len(train) / batch_size):,} steps, where the time allows"
    decisions.append(Decision("training", f"up to {epochs} epochs of batches of {batch_size}", why))
    if mixup:
        why = "the model hears and sees more than the few recordings there are (Zhang et al., 2018)"
        decisions.append(Decision("mixup", str(mixup), why))
    chosen = _choose_fusions(chosen_fusions, len(variants), target)
    if chosen:
        why = "as given" if chosen_fusions is not None else "one of the features, of the decisions, and of the tokens"
        decisions.append(Decision("fusions", ", ".join(chosen), why))
    adapted = _adapt(variants, train, target)
    problems = _add_remarks(problems, validation, {name: next(iter(tried.values())) for name, tried in adapted.items()})
    return Plan(
        task=task,
        target=target,
        declared={name: list(tried.values()) for name, tried in variants.items()},
        variants=adapted,
        fusions=chosen,
        metric=metric,
        train=train,
        validation=validation,
        batch_size=batch_size,
        epochs=epochs,
        mixup=mixup,
        problems=problems,
        decisions=tuple(decisions),
        doubts=tuple(doubts),
    )


def _propose(source, target, ignore):
    """What the columns hold that may be read."""
    columns = [str(column) for column in source.table.columns]
    for column in ignore:
        if column not in columns:
            raise ValueError(
                f"`ignore` and `group` name columns of {source.name}.{suggest(column, columns)} Received: {column!r}"
            )
    targets = target.columns if isinstance(target, Target) else [target] if isinstance(target, str) else target
    left_out = {*ignore, *map(str, targets)}
    return [proposal for proposal in propose(source) if proposal.column not in left_out]


def _choose_target(source, target, proposals):
    if isinstance(target, Target):
        find_task(target)
        return type(target).from_config(target.get_config()), "as given", ()
    proposal = propose_target(source, target, proposals)
    return proposal.target, "; ".join(proposal.why), proposal.doubts


def _choose_batch_size(rows):
    return next((size for most, size in _BATCHES.items() if rows < most), _LARGE_BATCH)


def _choose_epochs(rows):
    return int(np.clip(math.ceil(_STEPS / math.ceil(rows / _choose_batch_size(rows))), *_EPOCHS))


def _choose_variants(source, proposals, epochs, seconds):
    """For each input the modalities to try by the name of their encoder, and the decisions that led to them."""
    variants, decisions = {}, []
    why_of = {proposal.column: proposal.why for proposal in proposals}
    rows = len(source) * epochs
    for name, (kind, arguments) in plan_modalities(proposals).items():
        column = arguments.get("column", name)
        why = why_of.get(column, "")
        inputs = Modality.kinds[kind].choose_inputs(source, column, rows, seconds)
        _, found, details = inputs.pop("")
        for end, (other, chosen, other_why) in inputs.items():
            companion, chosen = name_uniquely(f"{name}_{end}", variants), {"column": column, **chosen}
            variants[companion] = _try_all(other, chosen)
            decisions.append(_describe_input(companion, other, chosen, other_why))
        if kind == "Tabular":
            details = ", ".join(f"{len(columns)} {argument}" for argument, columns in arguments.items())
            why = "the other columns of numbers, categories and dates"
        arguments = {**arguments, **found}
        variants[name] = _try_all(kind, arguments)
        decisions.append(
            _describe_input(name, kind, {} if kind == "Tabular" else arguments, "; ".join(filter(None, (why, details))))
        )
    decisions += [
        Decision(f"column '{proposal.column}'", "not read", proposal.why)
        for proposal in proposals
        if proposal.kind == "unused"
    ]
    if not variants:
        raise ValueError(
            f"{source.name} has no column that a model could read. Name what its columns hold: "
            f"mk.fit(..., modalities={{...}}). Received: {[(p.column, p.kind, p.why) for p in proposals]}"
        )
    return variants, decisions


def _describe_input(name, kind, arguments, why):
    shown = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    return Decision(f"input '{name}'", f"mk.{kind}({shown})", why)


def _try_all(kind, arguments):
    tried = [Modality.kinds[kind](encoder=encoder, **arguments) for encoder in Modality.kinds[kind].tried_encoders]
    return {type(modality.encoder).__name__: modality for modality in tried}


def _name_variants(name, given):
    """The modalities that a user gave for an input by the name of their encoder."""
    given = [given] if isinstance(given, Modality) else list(given)
    named = {}
    for modality in given:
        check_modalities({name: modality})
        named[name_uniquely(type(modality.encoder).__name__, named)] = modality
    if not named:
        raise ValueError(f"An input has a modality, or several to choose from. Received: {name!r}: {given!r}")
    return named


def _set_apart(usable, validation, proposals, group, target, modalities, seed):
    """Training rows, validation rows, the decision, and what is doubtful about it."""
    if validation is not None:
        report = check_rows(validation, modalities, target)
        report.warn(stacklevel=6)
        kept = keep_usable(validation, report)
        return usable, kept, Decision("validation rows", f"{len(kept):,}", f"as given: {validation.name}"), []
    groups, why = find_groups(usable, proposals, group)
    doubts = [] if groups is not None or not why else [f"{why}, so that no part can be set apart without them."]
    stratify = target.columns[0] if target.has_classes else None
    if groups is not None:
        train, kept = cut(usable, groups, None, seed)
        if not target.has_classes or set(map(str, train.texts(stratify))) >= set(map(str, kept.texts(stratify))):
            share = f"{len(kept):,} of {len(usable):,}"
            return train, kept, Decision("validation rows", share, why), doubts
        doubts.append(f"{why.split(',')[0]}, and classes would be in one part alone: rows are set apart one by one.")
    train, kept = cut(usable, None, stratify, seed)
    why = "drawn at random, stratified by class" if stratify else "drawn at random"
    return train, kept, Decision("validation rows", f"{len(kept):,} of {len(usable):,}", why), doubts


def _choose_metric(metric, target, validation):
    truth = target.encode(validation.values(target.columns))
    measures = target.measures
    known = {measures.score_name, *measures.measure_all(measures.answer_constantly(truth), truth)}
    if metric is not None:
        if metric not in known:
            raise ValueError(f"`metric` is one of {sorted(known)}.{suggest(metric, known)} Received: metric={metric!r}")
        return metric, "as given"
    if isinstance(target, ClassTarget) and len(target.classes) == 2:
        rarer = float(min(truth.mean(), 1 - truth.mean()))
        if 0 < rarer < _RARE:
            return "auroc", f"the rarer of the two classes has {rarer:.0%} of the rows, so accuracy is not informative"
    meanings = {"accuracy": "the share of correct answers", "r2_score": "the share of explained variance"}
    return measures.score_name, meanings.get(measures.score_name, "the mean over the targets")


def _have_media(modalities):
    return all(modality.preprocessor.media_type for modality in modalities.values())


def _choose_fusions(chosen, inputs, target):
    named = {}
    for identifier in FUSIONS if chosen is None else chosen:
        fusion = fusions.get(identifier)
        if not fusion.needs_classes or target.has_classes:
            named[identifier if isinstance(identifier, str) else fusion.name] = fusion
    if inputs < 2:
        return {}
    if not named:
        raise ValueError(f"Fusing several inputs takes a fusion. Received: fusions={chosen!r}")
    return named


def _adapt(variants, train, target):
    """The variants with what they learn from the training rows; those that read alike learn it once."""
    adapted = {}
    for name, tried in variants.items():
        learned, adapted[name] = {}, {}
        for encoder, modality in tried.items():
            key = repr(sorted(modality.preprocessor.get_config().items(), key=str))
            if key in learned:
                modality = modality.copy()
                modality.preprocessor = learned[key]
            (modality,) = adapt_modalities({name: modality}, train, target).values()
            learned.setdefault(key, modality.preprocessor)
            adapted[name][encoder] = modality
    return adapted


def _add_remarks(report, validation, modalities):
    """The report, with what is said of the validation rows now that is known how long a text may be and the like."""
    known = {(problem.row, problem.column) for problem in report.problems}
    found = [
        problem
        for problem in check_rows(validation, modalities).problems
        if (problem.row, problem.column) not in known and problem.source == report.source
    ]
    return dataclasses.replace(report, problems=[*report.problems, *found])
