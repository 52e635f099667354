"""Which weights of a model learn."""


class TrainsWhatItUses:
    """A base of models on a shared backbone: layers that serve only Features which a model does not read get no
    gradient, and are not among its trainable weights.

    A model sets `_unused`, the ids of these weights, at the end of its constructor.
    """

    _unused = frozenset()

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
