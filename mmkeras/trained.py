"""What tasks and pre-training have in common: how a model trains a backbone."""


class TrainsBackbone:
    """A base of models on a shared backbone, of what `fit` and `CachedTask` ask of them.

    Layers that serve only Features which a model does not read get no gradient, and are not among its trainable
    weights: it sets `_unused`, the ids of these weights, at the end of its constructor.

    Attributes:
        reads_contents: whether the outputs need what goes into an encoder, besides what comes out of it.
        loss_metrics: what `compute_loss` measures, in the order of the log.
    """

    reads_contents = False
    loss_metrics = ()
    _unused = frozenset()

    def training_callbacks(self) -> list:
        """What `fit` adds to the callbacks of the caller."""
        return []

    def training_rows(self, source, batch_size: int) -> tuple:
        """The rows to learn from, without those that are left out, which a warning counts; and their targets or None.

        Raises:
            ValueError: for rows that nothing learns from.
        """
        raise NotImplementedError

    @property
    def trainable_variables(self):
        return [variable for variable in super().trainable_variables if id(variable) not in self._unused]

    @property
    def trainable_weights(self):
        return [variable for variable in super().trainable_weights if id(variable) not in self._unused]

    @property
    def non_trainable_variables(self):
        trained = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in self.variables if id(variable) not in trained]

    @property
    def non_trainable_weights(self):
        trained = {id(variable) for variable in self.trainable_variables}
        return [variable for variable in self.weights if id(variable) not in trained]
