"""What a column that is to be predicted seems to hold: a proposal, which a person reads and decides on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmkeras.data import Proposal, Source, propose
from mmkeras.data.numbers import parse_number
from mmkeras.targets.base import Target
from mmkeras.targets.class_label import ClassTarget
from mmkeras.targets.number import NumberTarget
from mmkeras.targets.several import MultiTarget

_MOST = 0.9  # share of the cells that have to be numbers
_FEW = 20  # whole numbers that are classes
_FEWEST_ROWS = 20  # in which a column that gives the label away is no accident


@dataclass(frozen=True)
class TargetProposal:
    """What is to be predicted, and why.

    Attributes:
        target: an object from `mk.targets`, which has learned from the rows.
        why: the reasons, one a column, in words.
        doubts: what a person should look at before training, in words.
    """

    target: Target
    why: tuple[str, ...]
    doubts: tuple[str, ...]

    def __str__(self):
        return "\n".join([*self.why, *(f"Look at this: {doubt}" for doubt in self.doubts)])


def propose_target(
    source: Source, target: str | Sequence[str] | None = None, proposals: Sequence[Proposal] | None = None
) -> TargetProposal:
    """Classes or numbers, from what the columns of the target hold; and which other columns give them away.

    Numbers are amounts, which a `mk.Regressor` predicts, unless they are at most 20 whole ones that come back.

    Args:
        source: the rows.
        target: a column, or a list of columns that are predicted together; None for the target of the source.
        proposals: what `mk.propose` said of these rows, which is asked where nothing is given.

    Raises:
        ValueError: for a column that is not there, is empty, always the same, or another in each row, and so cannot be
            learned.

    Example:

    >>> rows = mk.read([{"age": 20 + i % 40, "price": 1.5 * i, "kind": "ab"[i % 2]} for i in range(100)])
    >>> print(mk.propose_target(rows, "price"))
    price: a number, for its 100 labeled rows hold 100 different ones, 0 to 148.5
    >>> type(mk.propose_target(rows, "kind").target).__name__
    'ClassTarget'
    """
    target = source.target if target is None else target
    if target is None:
        raise ValueError(f"{source.name} has no target column: name it by propose_target(source, '<column>').")
    columns = [target] if isinstance(target, str) else list(target)
    proposals = propose(source) if proposals is None else proposals
    others = [proposal for proposal in proposals if proposal.column not in columns]
    parts, why, doubts = {}, [], []
    for column in columns:
        cells = source.values([column])
        parts[column], reason, doubt = _judge(column, cells)
        why.append(f"{column}: {reason}")
        doubts += doubt
        doubts += _find_giveaways(source, others, column, parts[column], cells)
    whole = MultiTarget(parts) if len(parts) > 1 else parts[columns[0]]
    return TargetProposal(whole, tuple(why), tuple(doubts))


def _judge(column, cells):
    """The target, why it is one of its kind, and what is doubtful."""
    numbers = NumberTarget(column)
    labeled = [cell for cell in cells if not numbers.is_missing(cell)]
    if not labeled:
        raise ValueError(f"Column '{column}' is to be predicted, and none of its {len(cells):,} rows has a value.")
    values = [value for cell in labeled if (value := parse_number(cell)) is not None]
    distinct = set(values)
    is_few = len(distinct) <= min(_FEW, len(values) / 2) and all(value.is_integer() for value in distinct)
    if len(values) >= _MOST * len(labeled) and not is_few:
        if len(distinct) == 1:
            raise ValueError(f"Column '{column}' is to be predicted, and is {values[0]:g} in every row.")
        numbers.adapt(labeled)
        low, high = min(values), max(values)
        reason = f"a number, for its {len(labeled):,} labeled rows hold {len(distinct):,} different ones, "
        return numbers, f"{reason}{low:g} to {high:g}", []
    classes = ClassTarget(column)
    classes.adapt(labeled)
    counts = Counter(classes.classes[index] for index in classes.encode(labeled))
    (most, many), (least, few) = counts.most_common()[0], counts.most_common()[-1]
    if many == 1:
        raise ValueError(
            f"Column '{column}' is to be predicted, and has another value in each of its {len(labeled):,} labeled "
            f"rows, so that nothing can be learned of any. Received: {most!r}, {least!r} and so on"
        )
    reason = (
        f"{len(counts):,} classes in {len(labeled):,} labeled rows, from '{most}' ({many:,}) to '{least}' ({few:,})"
    )
    doubts = []
    if len(values) >= _MOST * len(labeled):
        reason += "; they are whole numbers, and few. If they are amounts: mk.targets.NumberTarget"
    if alone := [name for name, count in counts.items() if count == 1]:
        doubts.append(
            f"{len(alone):,} of the {len(counts):,} classes of '{column}' have one row, and cannot be validated: "
            f"{', '.join(map(repr, sorted(alone)[:3]))}{' and others' if len(alone) > 3 else ''}."
        )
    return classes, reason, doubts


def _find_giveaways(source, proposals, target, part, cells):
    """Which columns of numbers and categories say the target alone, in words."""
    known = np.array([not part.is_missing(cell) for cell in cells])
    if known.sum() < _FEWEST_ROWS:
        return []
    truth = part.encode([cell for cell, is_known in zip(cells, known, strict=True) if is_known]).reshape(-1)
    found = []
    for proposal in proposals:
        if proposal.kind not in ("number", "category"):
            continue
        own = np.array(source.texts(proposal.column), object)[known]
        filled = np.array([bool(cell.strip()) for cell in own])
        if filled.sum() >= _FEWEST_ROWS and _says(own[filled], truth[filled], proposal.kind, part.has_classes):
            found.append(
                f"Column '{proposal.column}' predicts '{target}' alone. If it is known only afterwards, a model that "
                f"reads it is worth nothing: leave it out."
            )
    return found


def _says(cells, truth, kind, has_classes):
    """Whether equal cells have equal truths, and come back; or numbers, put in order, fall into one span a class."""
    if len(np.unique(truth)) < 2:
        return False
    if kind == "category":
        truths = {}
        for cell, value in zip(cells, truth, strict=True):
            truths.setdefault(cell.strip(), set()).add(value)
        return all(len(values) == 1 for values in truths.values())
    numbers = [parse_number(cell) for cell in cells]
    if None in numbers:
        return False
    numbers = np.array(numbers)
    if not has_classes:
        return bool(np.ptp(numbers)) and abs(np.corrcoef(numbers, truth)[0, 1]) > 1 - 1e-9
    order = np.lexsort((truth, numbers))
    starts = np.flatnonzero(np.diff(truth[order])) + 1
    is_apart = all(numbers[order][start - 1] < numbers[order][start] for start in starts)
    return is_apart and len(starts) + 1 == len(np.unique(truth))
