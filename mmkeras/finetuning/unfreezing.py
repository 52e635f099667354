"""Callbacks of `fit` that let layers of an encoder learn later than others."""

import keras

from mmkeras.finetuning.layers import find_encoder, list_blocks, set_trainable


class Unfreezing(keras.callbacks.Callback):
    """Base of these callbacks: encoders are frozen when `fit` begins, and open from certain epochs on.

    The optimizer knows all weights from the beginning on; those that are frozen cost no gradients.

    Args:
        names: of the inputs.
    """

    def __init__(self, *names: str):
        super().__init__()
        if not names:
            raise ValueError(f"{type(self).__name__} takes the name of an input, or several.")
        self.names = names

    def find_opened(self, encoder: keras.Model, epoch: int) -> list[str] | None:
        """The paths of the layers that learn from this epoch on, counted from 0; None for all."""
        raise NotImplementedError

    def on_train_begin(self, logs=None):
        for name in self.names:
            set_trainable(self.model, name, None, True)
        everything, optimizer = self.model.trainable_variables, self.model.optimizer
        known = {id(variable) for variable in getattr(optimizer, "_trainable_variables", ())}
        if optimizer.built and not known.issuperset(map(id, everything)):
            raise ValueError(
                f"{type(self).__name__} needs an optimizer that has not begun with some of the weights frozen: compile "
                "the model anew."
            )
        if not optimizer.built:
            optimizer.build(everything)
        self._opened = {name: object() for name in self.names}

    def on_epoch_begin(self, epoch, logs=None):
        for name in self.names:
            opened = self.find_opened(find_encoder(self.model, name), epoch)
            if opened == self._opened[name]:
                continue
            self._opened[name] = opened
            set_trainable(self.model, name, None, False)
            if opened != []:
                set_trainable(self.model, name, opened, True)
            self.model.make_train_function(force=True)  # what learns is part of the graph


class LinearProbing(Unfreezing):
    """Heads and fusion learn first, with the encoders as they are; then all does.

    A head that begins with random weights would otherwise spoil what the encoder knows. Reference: Kumar et al.,
    "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution" (2022).

    Args:
        names: of the inputs whose encoders wait.
        epochs: how long.

    Example::

        model.fit(batches, epochs=4, callbacks=[mk.finetuning.LinearProbing("text", epochs=1)])
    """

    def __init__(self, *names: str, epochs: int = 1):
        super().__init__(*names)
        if epochs < 1:
            raise ValueError(f"`epochs` of LinearProbing is at least 1. Received: epochs={epochs}")
        self.epochs = epochs

    def find_opened(self, encoder, epoch):
        return [] if epoch < self.epochs else None


class GradualUnfreezing(Unfreezing):
    """The last block of an encoder learns first, then one more in each few epochs.

    Reference: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification" (2018), section 3.3.

    Args:
        names: of the inputs.
        every: epochs until the next block is opened.

    Example::

        model.fit(batches, epochs=8, callbacks=[mk.finetuning.GradualUnfreezing("text")])
    """

    def __init__(self, *names: str, every: int = 1):
        super().__init__(*names)
        if every < 1:
            raise ValueError(f"`every` of GradualUnfreezing is at least 1. Received: every={every}")
        self.every = every

    def find_opened(self, encoder, epoch):
        blocks = list_blocks(encoder)
        count = 1 + epoch // self.every
        return None if count >= len(blocks) else [path for block in blocks[-count:] for path in block]
