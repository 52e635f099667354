"""Whole models from the names of columns."""

from collections.abc import Mapping, Sequence

from mmkeras import encoders
from mmkeras.data import Source
from mmkeras.modalities import Audio, Image, Modality, Text, Video
from mmkeras.tasks import Classifier, Task

__all__ = ["mm_cnn", "mm_rnn"]

_MODALITIES = {"text": Text, "image": Image, "audio": Audio, "video": Video}


def mm_cnn(
    source: Source,
    target=None,
    *,
    text: str | Sequence[str] = (),
    image: str | Sequence[str] = (),
    audio: str | Sequence[str] = (),
    video: str | Sequence[str] = (),
    others: Mapping[str, Modality] | None = None,
    task: type[Task] = Classifier,
    **arguments,
) -> Task:
    """A compiled task whose encoders are convolutional networks: over words, pixels, time and bands, time and space.

    They are `TextCNN`, `ImageCNN`, `AudioCNN2D` and `VideoCNN3D`, joined by the default fusion.

    Args:
        source: the training rows.
        target: the column to predict, or an object from `mk.targets`; None for that of the source.
        text, image, audio, video: columns of each kind, one name or several.
        others: dict from input name to `Modality` of further inputs, such as tables.
        task: `mk.Classifier`, `mk.Regressor` or `mk.MultiTask`.
        arguments: of the task's `from_source`, such as `fusion`.

    Raises:
        ValueError: when no column is named, or one twice.

    Example:

    >>> words = ["red", "blue"] * 9
    >>> rows = mk.read([{"text": f"{word} tea", "label": word} for word in words])
    >>> model = mk.recipes.mm_cnn(rows, "label", text="text")
    >>> type(model.modalities["text"].encoder).__name__
    'TextCNN'
    """
    chosen = {
        "text": encoders.TextCNN,
        "image": encoders.ImageCNN,
        "audio": encoders.AudioCNN2D,
        "video": encoders.VideoCNN3D,
    }
    columns = {"text": text, "image": image, "audio": audio, "video": video}
    return task.from_source(source, _declare(chosen, columns, others), target, **arguments)


def mm_rnn(
    source: Source,
    target=None,
    *,
    text: str | Sequence[str] = (),
    image: str | Sequence[str] = (),
    audio: str | Sequence[str] = (),
    video: str | Sequence[str] = (),
    others: Mapping[str, Modality] | None = None,
    task: type[Task] = Classifier,
    **arguments,
) -> Task:
    """As `mm_cnn`, with recurrent networks that read words, sound and frames in their order, both ways.

    They are `TextLSTM`, `AudioCRNN` and `VideoGRU`; an image has no order, and is read by `ImageCNN`.

    Example:

    >>> words = ["red", "blue"] * 9
    >>> rows = mk.read([{"text": f"{word} tea", "label": word} for word in words])
    >>> model = mk.recipes.mm_rnn(rows, "label", text="text")
    >>> type(model.modalities["text"].encoder).__name__
    'TextLSTM'
    """
    chosen = {
        "text": lambda: encoders.TextLSTM(bidirectional=True),
        "image": encoders.ImageCNN,
        "audio": encoders.AudioCRNN,
        "video": lambda: encoders.VideoGRU(bidirectional=True),
    }
    columns = {"text": text, "image": image, "audio": audio, "video": video}
    return task.from_source(source, _declare(chosen, columns, others), target, **arguments)


def _declare(chosen, columns, others):
    """The modalities by the names of their columns."""
    modalities = dict(others or {})
    for kind, names in columns.items():
        for name in [names] if isinstance(names, str) else names:
            if name in modalities:
                raise ValueError(f"Each input has a name of its own. Received twice: {name!r}")
            modalities[name] = _MODALITIES[kind](encoder=chosen[kind]())
    if not modalities:
        raise ValueError(f"A model reads at least one column: name some, by {', '.join(columns)} or others.")
    return modalities


def __dir__():
    return __all__
