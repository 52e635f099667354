"""Compares what an artifact answers with what the Keras model answers to the same rows."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmkeras.targets.base import ERROR


class ParityError(RuntimeError):
    """An artifact differs from the model. Nothing that looks finished was left behind."""


@dataclass(frozen=True)
class Tolerance:
    """How far an artifact may be from the model.

    Attributes:
        difference: largest difference of an output, in multiples of its scale: 1 for probabilities, the deviation of
            its column for a number; None when only the answers count.
        agreement: smallest share of rows with the same answer, in [0, 1].
    """

    difference: float | None = None
    agreement: float = 0.995


@dataclass(frozen=True)
class Artifact:
    """One proven artifact.

    Attributes:
        format: as given to `mk.export`.
        path: file or folder, relative to the export folder.
        bytes: its size, all files together.
        max_difference: largest difference of an output from that of the Keras model, in multiples of its scale.
        agreement: share of rows with the same answer as the Keras model.
        metrics: by name, on the labeled rows, such as `{"accuracy": 0.99}`; empty without labels.
        latency_ms: median time for one row, milliseconds, on one thread where the runtime lets us choose.
        ops: names of the ops inside, where the format lists them.
    """

    format: str
    path: str
    bytes: int
    max_difference: float
    agreement: float
    metrics: dict[str, float]
    latency_ms: float
    ops: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ExportReport:
    """What `mk.export` returns; print it to read it, `save` writes it as JSON.

    Attributes:
        rows: how many rows each artifact answered.
        missing: how many of them lacked each modality.
        metrics: of the Keras model on the labeled rows; empty without labels.
        artifacts: one entry a format.
        signature: inputs and outputs of the artifacts, as in `signature.json`.
        files: what the export wrote, relative to its folder.
        versions: of the packages that took part.
    """

    rows: int
    missing: dict[str, int]
    metrics: dict[str, float]
    artifacts: list[Artifact]
    signature: dict
    files: list[str]
    versions: dict[str, str]

    def save(self, path: str | Path):
        Path(path).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    def __str__(self):
        missing = ", ".join(f"{count} without {name}" for name, count in self.missing.items())
        widths = {name: max(len(name), 8) + 2 for name in self.metrics}
        header = "".join(f"{name:>{width}}" for name, width in widths.items())
        lines = [
            f"Compared with the Keras model on {self.rows} rows ({missing}):",
            f"{'format':<22}{'size':>10}{'difference':>12}{'agreement':>11}{header}{'one row':>10}",
        ]
        for a in self.artifacts:
            metrics = "".join(f"{a.metrics[name]:>{width}.4g}" for name, width in widths.items())
            lines.append(
                f"{a.format:<22}{a.bytes / 1024:>6,.0f} KiB{a.max_difference:>12.1e}{a.agreement:>11.2%}"
                f"{metrics}{a.latency_ms:>7.2f} ms"
            )
        return "\n".join(lines)


def compare(
    format_name: str,
    expected: Mapping[str, np.ndarray],
    received: Mapping[str, np.ndarray],
    tolerance: Tolerance,
    target,
    tensors: Mapping[str, np.ndarray] | None = None,
) -> tuple[float, float]:
    """The largest difference, and the share of rows with the same answer.

    Args:
        format_name: what messages call the artifact.
        expected: outputs of the Keras model, by name, each `(rows, ...)`.
        received: outputs of the artifact to the same rows.
        tolerance: how far they may be apart.
        target: of the task; says which answers are the same, and the scale of each output.
        tensors: what the model was fed, by name; None where the target reads none.

    Raises:
        ParityError: outside the tolerance; names the row that is furthest off, and both values.
    """
    if not set(expected) <= set(received):
        raise ParityError(f"{format_name} returned {sorted(received)}, the model {sorted(expected)}.")
    outputs = {name: received[name] for name in expected}
    answers = {name: received[name] for name in set(received) - set(expected)}
    decoded = target.decode_arrays(outputs, tensors) if set(answers) - {ERROR} else {}
    _check_answers(format_name, answers, decoded)
    furthest = None
    for name in expected:
        found = _find_furthest(format_name, name, expected[name], received[name], target.scale(name))
        furthest = found if furthest is None or found.difference > furthest.difference else furthest
    agreement = float(np.mean(target.same_answer(expected, received)))
    too_far = tolerance.difference is not None and furthest.difference > tolerance.difference
    if too_far or agreement < tolerance.agreement or np.isinf(furthest.difference):
        raise ParityError(
            f"{format_name} differs from the model. Furthest off is row {furthest.row}, {furthest.output}: "
            f"{furthest.received:.6g} where the model gives {furthest.expected:.6g}. Allowed is a difference of "
            f"{'anything' if tolerance.difference is None else tolerance.difference}, found "
            f"{furthest.difference:.3g}; at least {tolerance.agreement:.2%} equal answers, found {agreement:.2%}. "
            f"If that is good enough for you: mk.export(..., tolerances={{'{format_name}': mk.Tolerance(...)}})."
        )
    return furthest.difference, agreement


def _check_answers(format_name, answers, decoded):
    """What the raw signature decoded of its outputs has to be what the target decodes of them, and no row an error."""
    errors = answers.pop(ERROR, np.array([""]))
    if np.any(errors != ""):
        row = int(np.argmax(errors != ""))
        raise ParityError(f"{format_name} does not answer what the model does. First is row {row}: {errors[row]}.")
    if set(answers) != set(decoded):
        raise ParityError(f"{format_name} answers {sorted(answers)}, the model {sorted(decoded)}.")
    for name, own in decoded.items():
        given = answers[name]
        if own.dtype == object:
            own = np.array([text.decode() for text in own])
        same = given == own if own.dtype.kind == "U" else np.isclose(given, own, rtol=1e-6)
        if not np.all(same):
            row = int(np.argmin(same))
            raise ParityError(
                f"{format_name} answers {name} wrongly. First in row {row}: {given[row]!r} for {own[row]!r}."
            )


class _Furthest(NamedTuple):
    difference: float
    row: int
    output: str
    expected: float
    received: float


def _find_furthest(format_name, name, expected, received, scale):
    if received.shape != expected.shape:
        raise ParityError(f"{format_name} returned {name} of shape {received.shape}, the model {expected.shape}.")
    differences = np.abs(expected.astype("float64") - received) / scale
    differences[np.isnan(differences)] = np.inf
    index = np.unravel_index(np.argmax(differences), differences.shape)
    row, *where = map(int, index)
    output = f"output '{name}'" + (f" {where}" if where else "")
    return _Furthest(float(differences[index]), row, output, float(expected[index]), float(received[index]))
