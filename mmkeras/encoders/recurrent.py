"""Steps that are read one after the other."""

import keras

from mmkeras.layers import AttentionPooling


def read_in_order(
    steps,
    mask,
    units: int,
    layer=keras.layers.GRU,
    dropout: float = 0.0,
    bidirectional: bool = False,
    prefix: str = "",
):
    """Tokens and pooled vector of a recurrent layer; padding cannot change them.

    Args:
        steps: `(batch, length, dim)`.
        mask: bool `(batch, length)`, False for padding, which comes last.
        units: size of the tokens and of the pooled vector.
        layer: `keras.layers.GRU` or `keras.layers.LSTM`.
        dropout: share of the values that is dropped in training, the same at all steps (Gal and Ghahramani, 2016).
        bidirectional: whether a second layer reads them backwards; both are then taken to `units` by dense layers.

        prefix: of the names of the layers, where a model has others of such names.

    Returns: the tokens `(batch, length, units)` and the state behind the last step `(batch, units)`.
    """
    name = layer.__name__.lower()
    if dropout:  # that of the layer itself draws numbers in artifacts too, and cannot be exported where it is doubled
        steps = keras.layers.Dropout(dropout, noise_shape=(None, 1, None), name="steps_dropout")(steps)
    recurrent = layer(units, return_sequences=True, return_state=True, name=name)
    if not bidirectional:
        tokens, state, *_ = recurrent(steps, mask=mask)
        return tokens, state
    tokens, *states = keras.layers.Bidirectional(recurrent, name=f"both_{name}")(steps, mask=mask)
    state = keras.layers.Concatenate(name="states")(states[:: len(states) // 2])
    tokens = keras.layers.Dense(units, name=f"{prefix}tokens_dense")(tokens)
    return tokens, keras.layers.Dense(units, name=f"{prefix}pooled_dense")(state)


def heed(tokens, mask, state, dropout: float, prefix: str = ""):
    """A pooled vector, as large as the state, of the state and of the mean of the tokens by attention."""
    heeded = AttentionPooling(tokens.shape[-1], name=f"{prefix}pooling")(tokens, mask)
    values = keras.layers.Concatenate(name=f"{prefix}values")([heeded, state])
    values = keras.layers.Dropout(dropout, name=f"{prefix}dropout")(values)
    return keras.layers.Dense(state.shape[-1], name=f"{prefix}values_dense")(values)
