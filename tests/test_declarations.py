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


@pytest.mark.parametrize(
    ("declared", "shown"),
    [
        (mk.Image(size=16, encoder="vit"), "Image(size=(16, 16), encoder=ImageViT())"),
        (mk.History(times="at", column="clicks"), "History(times='at', column='clicks')"),
        (mk.Tabular(numbers=["a"]), "Tabular(numbers=['a'])"),
        (mk.encoders.ImageCNN(filters=(4,)), "ImageCNN(filters=(4,))"),
        (mk.Image().preprocessor, "ImagePreprocessor(size=(64, 64))"),
        (mk.targets.ClassTarget("mood", ["a", "b"]), "ClassTarget(column='mood', classes=['a', 'b'])"),
        (
            mk.targets.MultiTarget(["a", "b"]),
            "MultiTarget(targets={'a': ClassTarget(column='a'), 'b': ClassTarget(column='b')})",
        ),
        (mk.tokenizers.NGrams(), "NGrams()"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_it_is_shown_by_the_arguments_that_are_not_as_by_default(declared, shown):
    assert repr(declared) == shown


def test_a_long_argument_is_shown_in_part():
    shown = repr(mk.targets.ClassTarget(classes=map(str, range(5000))))
    assert shown == "ClassTarget(classes=['0', '1', '2', '3', '4', '5', ...])"


def test_an_objective_is_shown_by_its_arguments():
    assert repr(mk.pretraining.MaskedLanguage("text", weight=2.0)).startswith("MaskedLanguage(input='text', ")
