"""The data sets of `fusion.py`, each with how a model is trained and measured on it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        case: the data and their setting, a key of `fusion.CASES`.
        fusion: by name.
        modalities: names of those that the model has.
        seed: of the weights, the shuffle and the dropout.
        noise: name of a modality whose content is replaced by noise, or None.
        arguments: further arguments of the classifier.
    """

    case: str
    fusion: str
    modalities: tuple[str, ...]
    seed: int = 0
    noise: str | None = None
    arguments: dict = field(default_factory=dict, hash=False)


def without(batches, *names):
    """A `tf.data` dataset in which no row has these modalities."""
    flags = [f"{name}_present" for name in names]
    return batches.map(lambda inputs, targets: ({**inputs, **{flag: inputs[flag] & False for flag in flags}}, targets))
