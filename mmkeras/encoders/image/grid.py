"""The end of a convolutional network for images."""

import keras
from keras import ops

from mmkeras.layers import PositionEmbedding
from mmkeras.preprocessing import Places
from mmkeras.preprocessing.places import cut_grid

_GRID = 4


def read_grid(pixels, units: int, dropout: float):
    """Tokens, mask and pooled vector of what convolutions left, `(batch, height, width, filters)`.

    It is averaged over a grid of at least 4x4 cells, where there are so many; its cells, with a learned vector for
    their position, are the tokens, and a dense layer over all of them gives the pooled vector.
    """
    pool_size = tuple(max(1, side // _GRID) for side in pixels.shape[1:3])
    grid = keras.layers.AveragePooling2D(pool_size, data_format="channels_last", name="grid")(pixels)
    cells = keras.layers.Reshape((-1, grid.shape[-1]), name="cells")(grid)
    tokens = PositionEmbedding(name="tokens_position")(keras.layers.Dense(units, name="tokens_dense")(cells))
    values = keras.layers.Dropout(dropout, name="dropout")(keras.layers.Flatten("channels_last", name="flatten")(cells))
    pooled = keras.layers.Dense(units, name="pooled_dense")(values)
    return tokens, ops.ones_like(tokens[:, :, 0], dtype="bool"), pooled


def locate_grid(size, maps, step: int) -> Places:
    """Where the tokens of `read_grid` lie in an image of this size.

    Args:
        size: `(height, width)` of the image.
        maps: `(height, width)` of what convolutions left.
        step: how many pixels of the image a pixel of them stands for.
    """
    pools = [max(1, side // _GRID) for side in maps]
    return cut_grid(
        size, [pool * step for pool in pools], [side // pool for side, pool in zip(maps, pools, strict=True)]
    )


def locate_halved(size, blocks: int) -> Places:
    """The same after so many blocks that end with `halve`."""
    maps, step = tuple(size), 1
    for _ in range(blocks):
        if min(maps) >= 2:
            maps, step = tuple(side // 2 for side in maps), 2 * step
    return locate_grid(size, maps, step)


def locate_cells(size, maps) -> Places:
    """Where the tokens of `read_cells` lie in an image of this size, for maps `(height, width)`."""
    return cut_grid(size, [side / count for side, count in zip(size, maps, strict=True)], maps)


def read_cells(maps):
    """The cells of maps `(batch, height, width, filters)` as tokens, the mask of all of them, and their mean."""
    tokens = keras.layers.Reshape((-1, maps.shape[-1]), name="cells")(maps)
    return tokens, ops.ones_like(tokens[:, :, 0], dtype="bool"), ops.mean(tokens, axis=1)


def halve(pixels, name: str):
    """The largest of each 2x2, while there are so many."""
    if min(pixels.shape[1:3]) < 2:
        return pixels
    return keras.layers.MaxPooling2D(2, data_format="channels_last", name=name)(pixels)
