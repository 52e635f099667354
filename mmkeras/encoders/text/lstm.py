import keras

from mmkeras.encoders.text.gru import TextGRU


@keras.saving.register_keras_serializable(package="mmkeras")
class TextLSTM(TextGRU):
    """Word pieces read one after the other by a long short-term memory (Hochreiter and Schmidhuber, 1997).

    Args: as for `TextGRU`.

    Example:

    >>> tokenizer = mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "red"])
    >>> text = mk.Text(tokenizer, sequence_length=4, encoder=mk.encoders.TextLSTM(units=8, bidirectional=True))
    >>> text.build_encoder("question").output["pooled"].shape
    (None, 8)
    """

    layer = keras.layers.LSTM
