from collections.abc import Mapping, Sequence

import keras

from mmkeras.encoders import Encoder, TabularMLP, TabularTransformer
from mmkeras.modalities.base import Modality
from mmkeras.preprocessing import TabularPreprocessor


@keras.saving.register_keras_serializable(package="mmkeras")
class Tabular(Modality):
    """Columns of numbers, categories and dates, as one modality. Any cell may be missing.

    Args:
        numbers, categories, dates: names of columns. Dates are written as in 2024-12-31.
        statistics, vocabularies, quantiles: see `TabularPreprocessor`; None to learn them from the training rows.
        vocabulary_size: how many values of a column of categories to learn at most.
        normalization: of the numbers: `"standard"`, `"log"`, `"quantile"`, or a dict by column; what is not named is
            chosen from the training rows, and stands in `preprocessor.normalization` then.
        encoder: `"mlp"`, `"transformer"`, or an object from `mk.encoders`.

    Example:

    >>> profile = mk.Tabular(numbers=["age"], categories=["city"])
    >>> profile.source_columns("profile")
    ['age', 'city']
    """

    preprocessor_class = TabularPreprocessor
    encoders = {"mlp": TabularMLP, "transformer": TabularTransformer}
    tried_encoders = ("mlp",)
    defaults = {"vocabulary_size": 1000}

    def __init__(
        self,
        numbers: Sequence[str] = (),
        categories: Sequence[str] = (),
        dates: Sequence[str] = (),
        statistics: Mapping[str, Sequence[float]] | None = None,
        vocabularies: Mapping[str, Sequence[str]] | None = None,
        vocabulary_size: int | None = None,
        normalization: str | Mapping[str, str] | None = None,
        quantiles: Mapping[str, Sequence[Sequence[float]]] | None = None,
        encoder: str | Encoder = "mlp",
    ):
        super().__init__(
            encoder,
            numbers=numbers,
            categories=categories,
            dates=dates,
            statistics=statistics,
            vocabularies=vocabularies,
            vocabulary_size=vocabulary_size,
            normalization=normalization,
            quantiles=quantiles,
        )

    def source_columns(self, name):
        return list(self.preprocessor.parts)
