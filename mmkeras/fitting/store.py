"""What a search has found so far, on disk, so that it goes on where it was interrupted."""

import json
from dataclasses import asdict
from pathlib import Path

import keras

from mmkeras.files import replacing
from mmkeras.fitting.trials import Trial
from mmkeras.tasks import Task

_FILE, _MODELS = "fit.json", "trials"


class Store:
    """The trials, in the memory of a process and, where there is a folder, on disk.

    Args:
        folder: where they are written; None for nowhere.
        settings: what makes it the same search.
        resume: whether the trials that the folder holds go on.

    Raises:
        ValueError: when the folder holds a search that is not to go on, or another one.
    """

    def __init__(self, folder: Path | None, settings: dict, resume: bool):
        self.folder, self.settings = folder, json.loads(json.dumps(settings))  # as the file will hold them
        self.trials: list[Trial] = []
        self.spent = 0.0
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / _FILE).exists():
            return
        if not resume:
            raise ValueError(
                f"{folder} holds what mk.fit has found before. To go on with it: mk.fit(..., resume={str(folder)!r}). "
                "For another one, name another folder."
            )
        held = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        if differing := sorted(key for key, value in self.settings.items() if held["settings"].get(key) != value):
            raise ValueError(
                f"{folder} holds another search: it has another {', '.join(differing)}. Give the arguments that it was "
                f"begun with, or another folder. Received: { {key: self.settings[key] for key in differing} }"
            )
        self.trials = [Trial(**trial) for trial in held["trials"]]
        self.spent = held["spent"]
        for trial in self.trials:
            if trial.status == "interrupted" or (trial.status == "trained" and not self._path(trial).exists()):
                trial.status, trial.why = "new", ""

    def save(self, spent: float, model: Task | None = None, trial: Trial | None = None):
        """Writes all trials, and the model of one that was trained."""
        if self.folder is None:
            return
        if model is not None:
            self._path(trial).parent.mkdir(exist_ok=True)
            model.save(self._path(trial))
        held = {"settings": self.settings, "spent": spent, "trials": [asdict(trial) for trial in self.trials]}
        with replacing(self.folder / _FILE) as scratch:
            scratch.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")

    def load(self, trial: Trial) -> Task:
        """The model of a trial that was trained before an interruption."""
        return keras.saving.load_model(self._path(trial))

    def _path(self, trial):
        return self.folder / _MODELS / f"{self.trials.index(trial)}.keras"
