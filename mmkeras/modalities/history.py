from collections.abc import Sequence

import keras

from mmkeras.encoders import Encoder, HistoryDIN, HistoryGRU, HistoryTransformer
from mmkeras.modalities.base import Modality
from mmkeras.preprocessing import HistoryPreprocessor


@keras.saving.register_keras_serializable(package="mmkeras")
class History(Modality):
    """A column of items in the order of time: what somebody bought, read or did.

    A cell is a list, or text: a JSON list, or items with spaces between them.

    Args:
        sequence_length: the most recent items that the model sees.
        items: the known items; None to learn them from the training rows.
        vocabulary_size: how many items to learn at most, the most frequent ones.
        times: name of a column that holds as many ascending times, in seconds; None without.
        encoder: `"gru"`, `"transformer"`, `"din"` (the last item is a candidate), or an object from `mk.encoders`.
        column: the column to read, where it has another name than the input.

    Example:

    >>> mk.History(times="clicked_at").source_columns("clicks")
    ['clicks', 'clicked_at']
    """

    preprocessor_class = HistoryPreprocessor
    encoders = {"din": HistoryDIN, "gru": HistoryGRU, "transformer": HistoryTransformer}
    tried_encoders = ("gru", "transformer")
    defaults = {"sequence_length": 50, "vocabulary_size": 100_000}

    def __init__(
        self,
        sequence_length: int | None = None,
        items: Sequence[str] | None = None,
        vocabulary_size: int | None = None,
        times: str | None = None,
        encoder: str | Encoder = "gru",
        column: str | None = None,
    ):
        arguments = {"sequence_length": sequence_length, "items": items, "vocabulary_size": vocabulary_size}
        super().__init__(encoder, column, **arguments, times=times is not None)
        self.times = None if times is None else str(times)

    def source_columns(self, name):
        return super().source_columns(name) + ([self.times] if self.times else [])

    def get_config(self):
        return {**super().get_config(), "times": self.times}

    @classmethod
    def from_config(cls, config):
        modality = super().from_config(config)
        modality.times = config["times"]
        return modality
