"""12,330 visits to a shop (UCI Online Shoppers): behavior and profile of the visitor, and whether the visit ends in
an order.
"""

import functools

import numpy as np

import mmkeras as mk
from cases import Run, without
from cases.archives import unpack

BEHAVIOR = [
    "Administrative",
    "Administrative_Duration",
    "Informational",
    "Informational_Duration",
    "ProductRelated",
    "ProductRelated_Duration",
    "BounceRates in %",
    "ExitRates in %",
    "PageValues",
]
PROFILE = ["Month", "OperatingSystems", "Browser", "Region", "TrafficType", "VisitorType", "Weekend"]
NOISE = [f"noise_{index}" for index in range(10)]
MODALITIES = {
    "behavior": mk.Tabular(numbers=BEHAVIOR),
    "profile": mk.Tabular(numbers=["SpecialDay (probability)"], categories=PROFILE),
    "noise": mk.Tabular(numbers=NOISE),
}


def train(run: Run, epochs: int) -> dict:
    """A model, and its area under the ROC curve with everything and without each modality."""
    train_rows, test_rows = _read_rows()
    modalities = {name: MODALITIES[name] for name in run.modalities}
    model = mk.Classifier.from_source(train_rows, modalities, "Revenue", fusion=run.fusion, **run.arguments)
    model.compile(model.optimizer, model.loss, metrics=["auc"])
    model.fit(model.dataset(train_rows, 128, shuffle=True, cache=True, seed=run.seed), epochs=epochs, verbose=0)
    batches = model.dataset(test_rows, 4096)
    figures = {"score": model.evaluate(batches, verbose=0)[1], "parameters": model.count_params()}
    for name in run.modalities if len(run.modalities) > 1 else ():
        figures[f"without {name}"] = model.evaluate(without(batches, name), verbose=0)[1]
    return figures


@functools.lru_cache(maxsize=1)
def _read_rows():
    rows = mk.read(unpack("online-shoppers") / "online-shoppers" / "online_shoppers_intention.csv", target="Revenue")
    rows = rows.with_numbers(NOISE, np.random.default_rng(0).normal(size=(len(rows), len(NOISE))))
    return rows.split(test_size=0.2, stratify="Revenue", seed=0)
