"""What tasks share: the encoders of all modalities, and the fusion."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

from mmkeras import fusion as fusions
from mmkeras.data import Source
from mmkeras.data.names import name_uniquely
from mmkeras.features import FEATURES
from mmkeras.modalities import Modality
from mmkeras.presets import load_preset, read_preset, write_preset
from mmkeras.row_model import RowModel, adapt_modalities, check_modalities, make_preprocessor
from mmkeras.state import apply_state, read_state, use_policy
from mmkeras.targets import FeaturesTarget


@keras.saving.register_keras_serializable(package="mmkeras")
class Backbone(RowModel):
    """From the tensors of a row to Features: one encoder a modality, and a fusion.

    Tasks are built on a backbone and share it: `mk.Classifier(backbone=...)`. Its encoders do not depend on the fusion,
    so weights move between backbones with other fusions (`mk.move_weights`).

    Args:
        modalities: dict from input name to an adapted `Modality`.
        fusion: an object from `mk.fusion`, or its name; None for `Gated()`.
        feature_keys: which of the Features to give.
        dtype: policy of the encoders, such as `"mixed_bfloat16"`; None for Keras's global one.
        name: of the model.

    Output: dict of `fused`, the Features of all modalities together (not from fusions of the decision level), and
        `modalities`, for each name its Features after the fusion.

    Attributes:
        encoded: for each name its Features before the fusion, tensors of the functional model.

    Raises:
        ValueError, TypeError: for modalities that cannot be inputs, and for unknown fusions and outputs.

    Example:

    >>> backbone = mk.Backbone({"image": mk.Image(size=16)}, "product")
    >>> backbone.output["fused"]["pooled"].shape, backbone.output["modalities"]["image"]["tokens"].shape
    ((None, 128), (None, 4, 64))
    """

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        fusion: str | fusions.Fusion | None = None,
        feature_keys: Sequence[str] = FEATURES,
        dtype=None,
        name: str | None = None,
    ):
        modalities = check_modalities(modalities)
        if isinstance(feature_keys, str) or not feature_keys or not set(feature_keys) <= set(FEATURES):
            raise ValueError(
                f"`feature_keys` is a list of some of {list(FEATURES)}. Received: feature_keys={feature_keys!r}"
            )
        policy = keras.config.dtype_policy() if dtype is None else keras.dtype_policies.get(dtype)
        preprocessor = make_preprocessor(modalities)

        # === Layers ===
        taken = set(preprocessor.tensor_specs())
        encoders = {}
        with use_policy(policy):
            fusion = fusions.get(fusion)
            for input_name, modality in modalities.items():
                encoder_name = name_uniquely(f"{input_name}_encoder", taken)
                taken.add(encoder_name)
                encoders[input_name] = modality.build_encoder(encoder_name)
        if fusion.name in taken:
            fusion = type(fusion).from_config({**fusion.get_config(), "name": name_uniquely(fusion.name, taken)})

        # === Functional model ===
        inputs = {
            tensor: keras.Input(spec.shape[1:], dtype=spec.dtype.name, name=tensor)
            for tensor, spec in preprocessor.tensor_specs().items()
        }
        features = {
            input_name: encoder({part: inputs[key] for part, key in preprocessor.tensor_names(input_name).items()})
            for input_name, encoder in encoders.items()
        }
        joined = fusion.join(features)
        given = {"modalities": {key: _choose(value, feature_keys) for key, value in joined["modalities"].items()}}
        if "fused" in joined:
            given["fused"] = _choose(joined["fused"], feature_keys)
        super().__init__(inputs=inputs, outputs=given, name=name)

        # === Config ===
        self.set_row_parts(modalities, FeaturesTarget(list(modalities), feature_keys, "fused" in given))
        self.fusion = fusion
        self.encoders = encoders
        self.encoded = features
        self.feature_keys = tuple(feature_keys)
        self.policy = policy

    @classmethod
    def from_source(cls, source: Source, modalities: Mapping[str, Modality], **kwargs) -> "Backbone":
        """A backbone whose modalities have learned from the rows what was not given.

        Args:
            source: the training rows; they need no labels.
            modalities: dict from input name to `Modality`; they are copied.
            kwargs: arguments of the constructor.
        """
        return cls(adapt_modalities(modalities, source), **kwargs)

    def save_to_preset(self, folder: str | Path):
        """Writes a preset, a folder of files that hold no code, from which `from_preset` makes the same backbone.

        `config.json` holds modalities with their vocabularies, encoders and fusion; `model.weights.h5` the weights;
        `metadata.json` the versions that wrote it.

        Args:
            folder: where to write; files of these names there are replaced.
        """
        write_preset(self, Path(folder))

    @classmethod
    def from_preset(cls, folder: str | Path) -> "Backbone":
        """The backbone that `save_to_preset` wrote.

        Raises:
            FileNotFoundError: when the folder is no preset.
            ValueError: when it is one of another class, or its weights are of another architecture.
        """
        return read_preset(cls, Path(folder))

    def load_preset(self, folder: str | Path):
        """Takes the weights of a preset of the same architecture.

        Raises:
            FileNotFoundError: when the folder is no preset.
            ValueError: for another architecture; names the first key of the configuration that differs.
        """
        load_preset(self, Path(folder))

    def find_unused(self, used: Mapping[str, set[str]]) -> list[keras.Variable]:
        """The weights of the encoders that serve none of the Features that are used, by name of the input."""
        unused = []
        for name, encoder in self.encoders.items():
            chosen = keras.Model(encoder.input, _choose(encoder.output, used[name]))
            kept = {id(weight) for weight in chosen.weights}
            unused += [weight for weight in encoder.weights if id(weight) not in kept]
        return unused

    def get_config(self):
        # Not chained to the base, which would describe the functional graph; the parts describe it better.
        return {
            "modalities": {name: keras.saving.serialize_keras_object(m) for name, m in self.modalities.items()},
            "fusion": keras.saving.serialize_keras_object(self.fusion),
            "feature_keys": list(self.feature_keys),
            "dtype": keras.dtype_policies.serialize(self.policy),
            "name": self.name,
            "state": read_state(self),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        deserialize = keras.saving.deserialize_keras_object
        # Files before the first release have `outputs` for `feature_keys`.
        renamed = {"outputs": "feature_keys"}
        arguments = {renamed.get(key, key): value for key, value in config.items() if key != "state"}
        arguments["modalities"] = {name: deserialize(m, custom_objects) for name, m in config["modalities"].items()}
        arguments["fusion"] = deserialize(config["fusion"], custom_objects)
        arguments["dtype"] = keras.dtype_policies.deserialize(config["dtype"])
        backbone = cls(**arguments)
        apply_state(backbone, config["state"])
        return backbone


def _choose(features, keys):
    return {key: features[key] for key in FEATURES if key in keys and key in features}
