"""Compares what an artifact answers with what the Keras model answers to the same rows."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np


class ParityError(RuntimeError):
    """An artifact differs from the model. Nothing that looks finished was left behind."""


@dataclass(frozen=True)
class Tolerance:
    """How far an artifact may be from the model.

    Attributes:
        difference: largest difference of a probability; None when only the answers count.
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
        max_difference: largest difference of a probability from the Keras model.
        agreement: share of rows with the same answer as the Keras model.
        accuracy: share of labeled rows that it answers rightly; None without labels.
        latency_ms: median time for one row, milliseconds, on one thread where the runtime lets us choose.
        ops: names of the ops inside, where the format lists them.
    """

    format: str
    path: str
    bytes: int
    max_difference: float
    agreement: float
    accuracy: float | None
    latency_ms: float
    ops: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ExportReport:
    """What `mk.export` returns; print it to read it, `save` writes it as JSON.

    Attributes:
        rows: how many rows each artifact answered.
        missing: how many of them lacked each modality.
        accuracy: of the Keras model on the labeled rows; None without labels.
        artifacts: one entry a format.
        versions: of the packages that took part.
    """

    rows: int
    missing: dict[str, int]
    accuracy: float | None
    artifacts: list[Artifact]
    versions: dict[str, str]

    def save(self, path: str | Path):
        Path(path).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    def __str__(self):
        missing = ", ".join(f"{count} without {name}" for name, count in self.missing.items())
        lines = [
            f"Compared with the Keras model on {self.rows} rows ({missing}):",
            f"{'format':<22}{'size':>10}{'difference':>12}{'agreement':>11}{'accuracy':>10}{'one row':>10}",
        ]
        for a in self.artifacts:
            accuracy = "-" if a.accuracy is None else f"{a.accuracy:.2%}"
            lines.append(
                f"{a.format:<22}{a.bytes / 1024:>6,.0f} KiB{a.max_difference:>12.1e}{a.agreement:>11.2%}"
                f"{accuracy:>10}{a.latency_ms:>7.2f} ms"
            )
        return "\n".join(lines)


def compare(name: str, expected: np.ndarray, received: np.ndarray, tolerance: Tolerance) -> tuple[float, float]:
    """The largest difference, and the share of rows with the same answer.

    Args:
        name: of the artifact, for the message.
        expected: probabilities of the Keras model, `(rows, classes)`.
        received: those of the artifact.
        tolerance: how far they may be apart.

    Raises:
        ParityError: outside the tolerance; names the row that is furthest off, and both values.
    """
    if received.shape != expected.shape:
        raise ParityError(f"{name} returned probabilities of shape {received.shape}, the model {expected.shape}.")
    differences = np.abs(expected.astype("float64") - received)
    differences[np.isnan(differences)] = np.inf
    row, output = np.unravel_index(np.argmax(differences), differences.shape)
    difference = float(differences[row, output])
    agreement = float(np.mean(expected.argmax(axis=1) == received.argmax(axis=1)))
    too_far = tolerance.difference is not None and difference > tolerance.difference
    if too_far or agreement < tolerance.agreement or np.isinf(difference):
        raise ParityError(
            f"{name} differs from the model. Furthest off is row {row}, output {output}: "
            f"{received[row, output]:.6g} where the model says {expected[row, output]:.6g}. Allowed is a difference of "
            f"{'anything' if tolerance.difference is None else tolerance.difference}, found {difference:.3g}; "
            f"at least {tolerance.agreement:.2%} equal answers, found {agreement:.2%}. "
            f"If that is good enough for you: mk.export(..., tolerances={{'{name}': mk.Tolerance(...)}})."
        )
    return difference, agreement
