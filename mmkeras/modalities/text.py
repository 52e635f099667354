import keras

from mmkeras.encoders import Encoder, TextCNN, TextGRU, TextLSTM, TextNGrams, TextTransformer
from mmkeras.modalities.base import Modality
from mmkeras.preprocessing import TextPreprocessor, Tokenizer


@keras.saving.register_keras_serializable(package="mmkeras")
class Text(Modality):
    """A column of text. What is None is as the encoder needs it; if it does not say, as below.

    Args:
        tokenizer: an object from `mk.tokenizers`; by default a `SentencePiece` whose vocabulary is learned from
            the training rows.
        sequence_length: tokens a row; by default the length of the longest training text.
        start_token, end_token: pieces to put before and behind each text, such as `[CLS]` and `[SEP]`; by default none.
        max_sequence_length: the most tokens a row that are learned; by default 512, of n-grams 4096.
        encoder: `"gru"`, `"lstm"`, `"cnn"`, `"ngrams"`, `"transformer"`, or an object from `mk.encoders`.
        column: the column to read, where it has another name than the input.

    Example:

    >>> text = mk.Text()
    >>> text.adapt(["what color is it?", "what shape is it?"] * 100)
    >>> text.preprocessor.sequence_length
    5
    """

    preprocessor_class = TextPreprocessor
    encoders = {"gru": TextGRU, "lstm": TextLSTM, "cnn": TextCNN, "ngrams": TextNGrams, "transformer": TextTransformer}
    tried_encoders = ("ngrams", "gru")

    def __init__(
        self,
        tokenizer: Tokenizer | None = None,
        sequence_length: int | None = None,
        start_token: str | None = None,
        end_token: str | None = None,
        max_sequence_length: int | None = None,
        encoder: str | Encoder = "gru",
        column: str | None = None,
    ):
        super().__init__(
            encoder,
            column,
            tokenizer=tokenizer,
            sequence_length=sequence_length,
            start_token=start_token,
            end_token=end_token,
            max_sequence_length=max_sequence_length,
        )
