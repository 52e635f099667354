"""What a column holds, how it is prepared and how it is encoded."""

import copy
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from mmkeras.data import Source
from mmkeras.data.columns import SUFFIX_KINDS
from mmkeras.encoders import Encoder
from mmkeras.preprocessing import Preprocessor
from mmkeras.representation import Represented

_VERSION = 1


class Modality(Represented):
    """Declares one input of a model: a preprocessor and an encoder. Holds no layers, so that one serves many models.

    Subclasses are registered with Keras.

    Args:
        encoder: takes the tensors of the preprocessor to Features: an `Encoder`, or the name of one with its default
            arguments.
        column: the column to read, where it has another name than the input.
        arguments: of the preprocessor; where one is None, it is as the encoder needs, else as `defaults` says.

    Attributes:
        preprocessor: takes raw cells to tensors.
        encoder, column: as given.
        encoders: the encoders that have a name.
        tried_encoders: names of those that `mk.fit` tries, the first one in any case.
        suffixes: how the names of its files end, such as `".png"`; `mk.propose` and the labeling page go by them.
        kinds: all modalities by the name of their class.
        defaults: of those arguments of which neither the user nor the encoder says anything.
    """

    preprocessor_class: type[Preprocessor]
    encoders: Mapping[str, type[Encoder]]
    tried_encoders: Sequence[str] = ()
    defaults: Mapping[str, Any] = {}
    suffixes: Sequence[str] = ()
    kinds: dict[str, type["Modality"]] = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        Modality.kinds[cls.__name__] = cls
        SUFFIX_KINDS.update(dict.fromkeys(cls.suffixes, cls.__name__))

    def __init__(self, encoder: str | Encoder, column: str | None = None, **arguments):
        self.encoder = self._get_encoder(encoder)
        resolved = self.encoder.preprocessing().resolve(type(self).__name__, arguments, self.defaults)
        self.preprocessor = self.preprocessor_class(**resolved)
        self.column = None if column is None else str(column)

    def _get_encoder(self, encoder):
        if isinstance(encoder, Encoder):
            return encoder
        if encoder in self.encoders:
            return self.encoders[encoder]()
        raise ValueError(
            f"`encoder` of {type(self).__name__} is one of {sorted(self.encoders)}, or an object from `mk.encoders`. "
            f"Received: encoder={encoder!r}"
        )

    @classmethod
    def choose_inputs(cls, source: Source, column: str, rows: int, seconds: float) -> dict[str, tuple[str, dict, str]]:
        """For `mk.fit`: the inputs that are read from a column, by the cells and the time there is.

        Args:
            source: the rows.
            column: of the cells.
            rows: how many are trained on, all epochs together.
            seconds: the time there is.

        Returns: by the end of the input's name the name of its modality, arguments, and the reason in words; `""` for
            the input itself, others for what else is in the column, such as the sound of a video.
        """
        return {"": (cls.__name__, {}, "")}

    @classmethod
    def make_thumbnail(cls, cell: str | bytes, size: int) -> bytes | None:
        """A small PNG file that shows a cell of a file, at most `size` pixels wide and high; None for no picture."""
        return None

    def source_columns(self, name: str) -> list[str]:
        """The columns that the input `name` is read from."""
        return [self.column or name]

    def read(self, name: str, source: Source) -> list:
        """The cells of the input `name`: texts, paths or bytes of files, or tuples of items; of several columns, tuples
        of these.
        """
        return self.join([source.read_cells(column, self.preprocessor.cells) for column in self.source_columns(name)])

    def convert(self, name: str, rows: Sequence[Mapping], folder) -> list:
        """The same of rows that are dicts from column to value; what is left out is missing."""
        kind = self.preprocessor.cells
        columns = self.source_columns(name)
        return self.join([kind.convert([row.get(column) for row in rows], folder) for column in columns])

    def join(self, cells: list[list]) -> list:
        """The cells of several columns as tuples, one a row."""
        return list(zip(*cells, strict=True)) if self.preprocessor.parts else cells[0]

    def adapt(self, cells: Sequence):
        """Learns from the cells of the training rows what was not given; nothing for most modalities."""
        if not self.preprocessor.is_adapted:
            self.preprocessor.adapt(cells)

    def build_encoder(self, name: str) -> keras.Model:
        """The functional Keras model of this name, from the tensors of a row to Features."""
        return self.encoder.build_model(self.preprocessor, name)

    def copy(self) -> "Modality":
        """A modality that can adapt to other data; its encoder is the same, with the weights it starts from."""
        other = copy.copy(self)
        other.preprocessor = type(self.preprocessor).from_config(self.preprocessor.get_config())
        return other

    def list_arguments(self):
        arguments = {**self.preprocessor.list_arguments(), **super().list_arguments()}
        default = inspect.signature(type(self)).parameters["encoder"].default
        if repr(self.encoder) == repr(self._get_encoder(default)):
            del arguments["encoder"]
        return arguments

    def get_config(self) -> dict:
        return {
            "version": _VERSION,
            "preprocessor": self.preprocessor.get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "column": self.column,
        }

    @classmethod
    def from_config(cls, config):
        if config["version"] > _VERSION:
            raise ValueError(
                f"This {cls.__name__} was saved by a newer mmkeras: update it. Received: version={config['version']}, "
                f"known is {_VERSION}"
            )
        modality = cls.__new__(cls)
        modality.preprocessor = cls.preprocessor_class.from_config(config["preprocessor"])
        modality.encoder = keras.saving.deserialize_keras_object(config["encoder"])
        modality.column = config["column"]
        return modality
