"""10,662 sentences of film reviews, positive or negative (rt-polarity, Pang and Lee 2005); a fifth is the test."""

import functools

import numpy as np
import pandas as pd

import mmkeras as mk
from cases.archives import unpack

NAME, METRICS = "sentences", ("accuracy",)
EPOCHS = {"ngrams": 4}  # of those that are not named, 8
SEEDS = (0, 1, 2)
BASELINES = ("TF-IDF, logistic regression", "naive Bayes n-grams, logistic regression")
MODELS = ("ngrams", "cnn", "gru")
TARGETS = {("ngrams", "accuracy"): (0.775, 0.785)}


def train(model: str, seed: int, is_quick: bool) -> dict[str, float]:
    """The accuracy of a baseline, or of a classifier with this encoder, on the test of a split by this seed."""
    train_rows, test_rows = divide(seed)
    if model in BASELINES:
        return {"accuracy": _train_baseline(model, train_rows, test_rows)}
    source, test = (mk.read(rows, target="label") for rows in (train_rows, test_rows))
    classifier = mk.Classifier.from_source(source, {"text": mk.Text(encoder=model)})
    batches = classifier.dataset(source, 32, shuffle=True, cache=True, seed=seed)
    classifier.fit(batches, epochs=1 if is_quick else EPOCHS.get(model, 8), verbose=0)
    return {"accuracy": classifier.evaluate(classifier.dataset(test, 256), verbose=0)[1]}


def _train_baseline(model, train_rows, test_rows):
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    is_tfidf = model == BASELINES[0]
    make = TfidfVectorizer if is_tfidf else CountVectorizer
    vectorizer = make(ngram_range=(1, 2), **({"sublinear_tf": True} if is_tfidf else {"binary": True}))
    content, labels = vectorizer.fit_transform(train_rows["text"]), (train_rows["label"] == "positive").to_numpy()
    test = vectorizer.transform(test_rows["text"])
    if not is_tfidf:
        positive, negative = (1 + np.asarray(content[labels == value].sum(axis=0))[0] for value in (True, False))
        ratios = np.log(positive / positive.sum()) - np.log(negative / negative.sum())
        content, test = content.multiply(ratios).tocsr(), test.multiply(ratios).tocsr()
    classifier = LogisticRegression(C=3 if is_tfidf else 0.1, max_iter=1000).fit(content, labels)
    return classifier.score(test, test_rows["label"] == "positive")


def divide(seed):
    rows = _read()
    order = np.random.default_rng(seed).permutation(len(rows))
    count = len(rows) // 5
    return rows.iloc[order[count:]], rows.iloc[order[:count]]


@functools.lru_cache(maxsize=1)
def _read():
    rows = []
    for label, ending in {"positive": "pos", "negative": "neg"}.items():
        (path,) = unpack("rt-polarity").rglob(f"*.{ending}")
        rows += [(line.strip(), label) for line in path.read_text(encoding="latin-1").split("\n") if line.strip()]
    return pd.DataFrame(rows, columns=["text", "label"])
