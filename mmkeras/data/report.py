"""What a check of a source finds."""

import warnings
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

_SHOWN = 3  # examples of a kind of problem in a column


class Finding(NamedTuple):
    """Something wrong with one cell: what kind, which detail, what mends it, and whether the row is of no use."""

    kind: str
    detail: str
    remedy: str
    rejected: bool
    part: int = 0  # which column, where a modality reads several


@dataclass(frozen=True)
class Problem:
    """One cell with something wrong.

    `row` is for people and counts from 1, the first row after the header of the file. `index` is where the row stands
    in the source, from 0: rows of several windows of a recording have one number, and each an index of its own.
    """

    source: str
    row: int
    index: int
    column: str
    cell: str
    kind: str
    detail: str
    remedy: str
    rejected: bool

    def __str__(self):
        cell = f" ({self.cell})" if self.cell else ""
        return (
            f"{self.source}, row {self.row}, column '{self.column}'{cell}: "
            f"{self.kind}: {self.detail}. Fix: {self.remedy}."
        )


@dataclass(frozen=True)
class Report:
    """What `mk.check` returns; print it to read it.

    Attributes:
        source: name of the source.
        rows: how many rows it has.
        missing: for each column, how many cells are empty (the modality is absent in these rows).
        problems: every cell with something wrong, in the order of the rows.
    """

    source: str
    rows: int
    missing: dict[str, int]
    problems: list[Problem] = field(default_factory=list)

    @property
    def rejected(self) -> set[int]:
        """Indices of the rows, from 0, that cannot be used."""
        return {problem.index for problem in self.problems if problem.rejected}

    def summarize(self, rejected: bool) -> str:
        """Count of each kind among the problems that reject a row, or among those that do not: `2 empty file`."""
        kinds = Counter(problem.kind for problem in self.problems if problem.rejected == rejected)
        return ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common())

    def warn(self, stacklevel: int = 2):
        """Warns of every kind of problem, with the first cells by name; silent when there is none."""
        if not self.problems:
            return
        lines = []
        if self.rejected:
            lines.append(
                f"{self.source}: {len(self.rejected):,} of {self.rows:,} rows are left out: {self.summarize(True)}."
            )
        if noted := self.summarize(False):
            lines.append(f"{self.source}: kept: {noted}.")
        lines += [f"  {problem}" for problem in self.problems[:3]]
        if len(self.problems) > 3:
            lines.append("  `print(model.check(source))` names them all.")
        warnings.warn("\n".join(lines), stacklevel=stacklevel + 1)

    def __str__(self):
        missing = ", ".join(f"{name} {count:,}" for name, count in self.missing.items())
        lines = [
            f"{self.source}: {self.rows:,} rows, {self.rows - len(self.rejected):,} usable",
            f"  missing cells: {missing}",
        ]
        if self.rejected:
            lines.append(f"  left out: {self.summarize(True)}")
        if noted := self.summarize(False):
            lines.append(f"  kept: {noted}")
        groups = {}
        for problem in self.problems:
            groups.setdefault((problem.column, problem.kind), []).append(problem)
        for (column, kind), problems in groups.items():
            lines += [f"  {problem}" for problem in problems[:_SHOWN]]
            if len(problems) > _SHOWN:
                lines.append(
                    f"  ... and {len(problems) - _SHOWN:,} more of '{kind}' in column '{column}'; all are in "
                    "`report.problems`"
                )
        return "\n".join(lines)
