import keras
import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.pipeline import mix_batches, read_mixed

MODALITIES = {
    "image": mk.Image(size=4, encoder=mk.encoders.ImageCNN(units=8, filters=(4,))),
    "sound": mk.Audio(seconds=0.1, encoder=mk.encoders.AudioCNN(units=8, filters=(4,), mel_bins=8)),
}


def make_batch(count=64):
    """Images all of one tone and sounds of one value, both the number of the row."""
    numbers = np.arange(count)
    return {
        "image": np.tile((2 * numbers).astype("uint8")[:, None, None, None], (1, 4, 4, 3)),
        "image_present": numbers % 4 != 0,
        "sound": np.tile(numbers.astype("float32")[:, None], (1, 1600)),
        "sound_length": (numbers + 100).astype("int32"),
        "sound_present": numbers % 5 != 0,
    }, (numbers % 2).astype("int32")


@pytest.fixture(scope="module")
def mixed():
    tensors, truth = make_batch()
    dataset = tf.data.Dataset.from_tensor_slices((tensors, np.arange(64))).batch(64)
    inputs, pairs = next(iter(mix_batches(dataset, MODALITIES, alpha=1.0)))
    return {name: tensor.numpy() for name, tensor in inputs.items()}, [part.numpy() for part in read_mixed(pairs)]


def test_all_modalities_of_a_row_are_mixed_with_those_of_the_same_other_row(mixed):
    before, _ = make_batch()
    inputs, (first, second, share) = mixed
    assert np.array_equal(first, np.arange(64)) and np.array_equal(np.sort(second), np.arange(64))
    assert share.min() >= 0.5 and 0.6 < share.mean() < 0.95
    for name, scale, rounding in (("image", 2, 0.51), ("sound", 1, 1e-4)):
        both = before[f"{name}_present"] & before[f"{name}_present"][second]
        expected = np.where(both, share * first + (1 - share) * second, first)
        values = inputs[name].reshape(64, -1)
        assert np.array_equal(values.min(axis=1), values.max(axis=1))
        np.testing.assert_allclose(values[:, 0], scale * expected, atol=rounding)
        assert np.array_equal(inputs[f"{name}_present"], before[f"{name}_present"])
    both = before["sound_present"] & before["sound_present"][second]
    expected = np.where(both, np.maximum(first, second), first) + 100
    assert np.array_equal(inputs["sound_length"], expected)


def test_a_row_that_shares_no_modality_keeps_its_truth(mixed):
    before, _ = make_batch()
    _, (first, second, share) = mixed
    shared = [before[f"{name}_present"] & before[f"{name}_present"][second] for name in MODALITIES]
    assert np.all(share[~np.logical_or(*shared)] == 1)


def test_it_mixes_anew_in_every_epoch_and_alike_after_the_same_seed():
    dataset = tf.data.Dataset.from_tensor_slices(make_batch()).batch(64)

    def draw():
        keras.utils.set_random_seed(3)
        mixed = mix_batches(dataset, MODALITIES, alpha=1.0)
        return [read_mixed(next(iter(mixed))[1])[2].numpy() for _ in range(2)]

    (first, second), again = draw(), draw()
    assert not np.allclose(first, second)
    assert np.array_equal(first, again[0]) and np.array_equal(second, again[1])
    assert len(mix_batches(dataset, MODALITIES, alpha=1.0)) == 1


def test_the_loss_is_the_mean_of_both_truths_by_their_shares():
    model = mk.Classifier(MODALITIES, ["even", "odd"])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    tensors, truth = make_batch()
    dataset = tf.data.Dataset.from_tensor_slices((tensors, truth)).batch(64)
    inputs, pairs = next(iter(mix_batches(dataset, MODALITIES, alpha=1.0)))
    first, second, share = (part.numpy() for part in read_mixed(pairs))
    outputs = model(inputs)
    own = -np.log(np.take_along_axis(outputs.numpy(), np.stack([first, second], 1), axis=1))
    expected = np.mean(share * own[:, 0] + (1 - share) * own[:, 1])
    assert float(model.compute_loss(inputs, pairs, outputs, training=False)) == pytest.approx(expected, rel=1e-4)


def test_a_task_trains_on_mixed_rows():
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    rows = []
    for index in range(60):
        tone = random.integers(0, 100) + 150 * (index % 2)
        image = tf.io.encode_png(np.full((4, 4, 3), tone, "uint8")).numpy()
        rows.append({"image": image, "label": "dark bright".split()[index % 2]})
    source = mk.read(rows, target="label")
    model = mk.Classifier.from_source(source, {"image": MODALITIES["image"]})
    batches = model.dataset(source, 10, shuffle=True, cache=True, mixup=0.2)
    history = model.fit(batches, validation_data=model.dataset(source), epochs=10, verbose=0).history
    assert history["accuracy"][-1] > 0.8 and history["val_accuracy"][-1] > 0.95


def test_what_cannot_be_mixed_is_refused():
    rows = mk.read([{"text": "a", "label": "x"}, {"text": "b", "label": "y"}])
    model = mk.Classifier.from_source(rows, {"text": mk.Text()}, "label")
    with pytest.raises(ValueError, match="texts, tables and histories cannot. Received: mixup=0.2, and modalities"):
        model.dataset(rows, mixup=0.2)
    with pytest.raises(ValueError, match="`mixup` is greater than 0, or 0 for none. Received: mixup=-1"):
        model.dataset(rows, mixup=-1)
    with pytest.raises(ValueError, match=r"mixed with their targets, and these have no \['label'\]"):
        model.dataset(mk.read([{"text": "a"}]), mixup=0.2)
