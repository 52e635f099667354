"""easy-VQA, typed: see `vqa`."""

from cases import Run, vqa

NAME, METRICS = vqa.TYPED, ("accuracy",)
SEEDS = (0,)
EPOCHS = 12
BASELINES = ()
MODELS = ("gated",)
TARGETS = {("gated", "accuracy"): (0.997, 0.997)}


def train(model: str, seed: int, is_quick: bool) -> dict[str, float]:
    """The accuracy of the default encoders of text and image, joined by this fusion."""
    run = Run(NAME, model, ("question", "image"), seed)
    return {"accuracy": vqa.train(run, 1 if is_quick else EPOCHS)["score"]}
