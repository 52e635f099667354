"""`mmkeras data-service`: rows are prepared by other processes, and each arrives once."""

import keras
import numpy as np
import pytest

import mmkeras as mk

ROWS = 400


def make_batches(address, **options):
    rows = mk.read([{"number": index, "label": index} for index in range(ROWS)], target="label")
    model = mk.Regressor.from_source(rows, {"facts": mk.Tabular(["number"])})
    return model.dataset(rows, 10, data_service=address, **options)


def read_labels(batches, between=None):
    labels = []
    for index, (_, truth) in enumerate(batches):
        labels += np.ravel(truth).astype(int).tolist()
        if between is not None and index == 3:
            between()
    return labels


def test_every_row_arrives_once(service):
    assert sorted(read_labels(make_batches(service.address))) == list(range(ROWS))


def test_every_epoch_has_its_own_order(service):
    keras.utils.set_random_seed(0)
    batches = make_batches(service.address, shuffle=True)
    orders = [[label for label in read_labels(batches) if label % 2 == 0] for _ in range(2)]  # of one of two servers
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dispatcher", "worker"])
def test_no_row_is_lost_when_a_server_dies(service, kind):
    """One that was started again prepares its rows anew, and those that came already are dropped."""
    batches = make_batches(service.address)
    assert sorted(read_labels(batches, lambda: service.kill(kind))) == list(range(ROWS))
    assert sorted(read_labels(batches)) == list(range(ROWS))
