"""What holds for every modality."""

import inspect

import numpy as np
import pytest

import mmkeras as mk

MODALITIES = {
    "text": mk.Text(),
    "image": mk.Image(size=16),
    "audio": mk.Audio(seconds=1),
    "video": mk.Video(frames=2),
    "tabular": mk.Tabular(numbers=["a"]),
    "history": mk.History(times="at"),
}
every_modality = pytest.mark.parametrize("modality", MODALITIES.values(), ids=MODALITIES)


@every_modality
def test_its_arguments_are_those_of_its_preprocessor(modality):
    own = inspect.signature(type(modality)).parameters
    inside = inspect.signature(modality.preprocessor_class).parameters
    assert set(own) - {"encoder", "column", "augmentation"} == set(inside)
    defaults = {name: parameter.default for name, parameter in inside.items()}
    for name, value in modality.defaults.items():
        assert defaults[name] == value, name


@every_modality
def test_it_is_the_same_from_its_nested_configuration(modality):
    config = modality.get_config()
    assert {"version", "preprocessor", "encoder", "column"} - set(config) == set()
    again = type(modality).from_config(config)
    assert again.get_config() == config
    assert again.source_columns("x") == modality.source_columns("x")


@every_modality
def test_one_of_a_newer_version_is_refused(modality):
    with pytest.raises(ValueError, match="was saved by a newer mmkeras: update it. Received: version=99"):
        type(modality).from_config({**modality.get_config(), "version": 99})


def test_every_encoder_has_a_name_by_its_modality():
    for name, modality in MODALITIES.items():
        for encoder in type(modality).encoders.values():
            assert encoder.__name__.lower().startswith(name)


def test_a_copy_adapts_without_changing_the_declaration():
    text = mk.Text()
    copy = text.copy()
    copy.adapt(["a word", "another word"] * 20)
    assert not text.preprocessor.is_adapted and copy.preprocessor.is_adapted
    assert copy.encoder is text.encoder
    assert np.array_equal(copy.preprocessor.shape, [copy.preprocessor.sequence_length])
