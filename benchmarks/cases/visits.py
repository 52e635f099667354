"""12,330 visits to a shop (UCI Online Shoppers), as one table and as two: which end in an order; a fifth is a test."""

import pandas as pd

import mmkeras as mk
from cases.archives import unpack
from cases.shop import BEHAVIOR, MODALITIES, PROFILE

NAME, METRICS = "visits to a shop", ("auROC",)
SEEDS = (0, 1, 2)
EPOCHS, BATCH = 20, 128
NUMBERS = [*BEHAVIOR, "SpecialDay (probability)"]
BASELINES = ("gradient boosting",)
MODELS = {
    "mlp": {"visit": mk.Tabular(numbers=NUMBERS, categories=PROFILE)},
    "transformer": {"visit": mk.Tabular(numbers=NUMBERS, categories=PROFILE, encoder="transformer")},
    "mlp, behavior and profile": {name: MODALITIES[name] for name in ("behavior", "profile")},
}
TARGETS = {("mlp", "auROC"): (0.930, 0.932), ("mlp, behavior and profile", "auROC"): (0.930, 0.932)}


def train(model: str, seed: int, is_quick: bool) -> dict[str, float]:
    """The area under the ROC curve of a baseline, or of a classifier, on a split by this seed."""
    folder = unpack("online-shoppers") / "online-shoppers"
    rows = mk.read(folder / "online_shoppers_intention.csv", target="Revenue")
    train_rows, test_rows = rows.split(test_size=0.2, stratify="Revenue", seed=seed)
    if model in BASELINES:
        return {"auROC": _train_baseline(train_rows.table, test_rows.table, seed)}
    classifier = mk.Classifier.from_source(train_rows, MODELS[model])
    batches = classifier.dataset(train_rows, BATCH, shuffle=True, cache=True, seed=seed)
    classifier.fit(batches, epochs=1 if is_quick else EPOCHS, verbose=0)
    return {"auROC": classifier.evaluate_rows(test_rows).table.loc["model", "auroc"]}


def _train_baseline(train_table, test_table, seed):
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    parts = []
    for table in (train_table, test_table):
        categories = {name: pd.Categorical(table[name], sorted(train_table[name].unique())) for name in PROFILE}
        parts.append(pd.concat([table[NUMBERS].astype(float), pd.DataFrame(categories, table.index)], axis=1))
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=seed)
    model.fit(parts[0], train_table["Revenue"])
    return roc_auc_score(test_table["Revenue"] == model.classes_[1], model.predict_proba(parts[1])[:, 1])
