"""Which models are trained, for how long, and which is the best."""

import math
import time
from collections.abc import Sequence

from mmkeras.fitting.store import Store
from mmkeras.fitting.trials import Trainer, Trial

_RESERVED = 0.06  # share of the time in which the report is written
_FUSED = 1.5  # what an epoch of a fusion costs, in those of its inputs
_FEWEST_EPOCHS = 3  # a model that the time allows fewer of cannot win
_TELLING_STEPS = 100  # fewer in the first epoch say nothing of the last
_BEHIND = 0.5  # share of what the best has gained over the best constant answer
_FIRST_SHARE = 0.25  # of the time left for one first epoch
_TOLD_ERROR = 300  # characters


class Search:
    """The trials of a plan, one after the other.

    The first encoder of every input is trained for an epoch, which says what an epoch costs, then the others, where
    there is time; who is far behind is dropped. Then those that are left are trained for as many epochs as the time
    allows, then the fusions of the best encoders.

    Args:
        trainer: trains them.
        store: keeps what was found, also over an interruption.
        seconds: the time there is, and what of it is gone already.
        spent: seconds.
    """

    def __init__(self, trainer: Trainer, store: Store, seconds: float, spent: float):
        self.trainer, self.plan, self.store = trainer, trainer.plan, store
        self.started, self.seconds = time.perf_counter() - spent, seconds
        self.was_interrupted = False

    @property
    def trials(self) -> list[Trial]:
        return self.store.trials

    @property
    def spent(self) -> float:
        return time.perf_counter() - self.started

    @property
    def left(self) -> float:
        """Seconds for training; the report needs some of the rest."""
        return self.seconds * (1 - _RESERVED) - self.spent

    def run(self):
        """Trains; an interruption ends the search, and leaves what was trained so far.

        Raises:
            RuntimeError: when no model could be trained, with the reason of each.
            KeyboardInterrupt: when none was trained yet.
        """
        try:
            self._run()
        except KeyboardInterrupt:
            self.was_interrupted = True
            for trial in self.trials:
                if trial.is_open:
                    self._settle_interrupted(trial)
            if not self.find_trained():
                raise
        if not self.find_trained():
            reasons = "\n".join(f"  {trial.name}: {trial.why}" for trial in self.trials)
            raise RuntimeError(f"No model could be trained.\n{reasons}")

    def _run(self):
        count = self._try_encoders()
        names = list(self.plan.variants)
        if len(names) < 2:
            return
        best = {name: self.find_best([t for t in self.find_trained() if list(t.inputs) == [name]]) for name in names}
        encoders = {name: trial.inputs[name] for name, trial in best.items() if trial is not None}
        if len(encoders) > 1:
            self._try_fusions(encoders, count if self.left > 0 else 0)

    def _try_encoders(self) -> int:
        """Trains each input alone; returns for how many fusions there is time."""
        trials = [
            self._add(f"{name} ({encoder})" if len(tried) > 1 else name, {name: encoder})
            for name, tried in self.plan.variants.items()
            for encoder in tried
        ]
        firsts = [next(trial for trial in trials if name in trial.inputs) for name in self.plan.variants]
        for trial in firsts:
            self._begin(trial)
        for trial in trials:
            fusions = int(len(self.plan.variants) > 1)
            if trial.status == "new" and self._count_epochs(trials, fusions) < self.plan.epochs / 2:
                self._drop(trial, "there is no time for another encoder of this input")
            self._begin(trial)
        for name in self.plan.variants:
            self._drop_losers([trial for trial in trials if name in trial.inputs])
        count = self._fit_into_time(trials)
        self._finish(trials, count, self._estimate_setup(trials))
        return count

    def _try_fusions(self, encoders, count):
        """Trains as many fusions of all inputs."""
        trials = [self._add(f"{fusion} of all", encoders, fusion) for fusion in self.plan.fusions]
        for trial in trials[count:]:
            self._drop(trial, "there is no time for it")
        for trial in trials[:count]:
            self._begin(trial)
        self._drop_losers(trials)
        self._finish(trials)

    def _add(self, name, inputs, fusion=None):
        """The trial of this name, where it is there already as it was left."""
        known = next((trial for trial in self.trials if trial.name == name), None)
        if known is None:
            known = Trial(name, dict(inputs), fusion)
            self.trials.append(known)
        return known

    def _begin(self, trial):
        if trial.status == "new":
            self._attempt(trial, lambda: self.trainer.begin(trial, _FIRST_SHARE * max(self.left, 0)))
            if trial.status == "begun":
                part = "a part of the first epoch, all of which takes" if trial.is_cut else "the first epoch, of"
                self._tell(f"{trial.name}: {self._show(trial.score)} after {part} {trial.epoch_seconds:.1f} s")

    def _finish(self, trials, fusions=0, setup=0.0):
        """Trains what is open, the cheapest first, so that what it leaves of its share of the time goes to the others.

        A fusion, of as many as are still to come, gets two shares, after the seconds that each takes to set up.
        """
        waiting = sorted((trial for trial in trials if trial.is_open), key=lambda trial: trial.epoch_seconds)
        while waiting:
            seconds = max(0.0, (self.left - fusions * setup) / (len(waiting) + 2 * fusions))
            trial, *waiting = waiting
            epochs = int(min(self.plan.epochs, max(1, seconds / trial.epoch_seconds)))
            self._attempt(trial, lambda trial=trial, epochs=epochs, s=seconds: self.trainer.finish(trial, epochs, s))
            if trial.status == "trained":
                self._tell(
                    f"{trial.name}: {self._show(trial.score)} after {trial.epochs} epochs, {trial.seconds:.0f} s"
                )

    def _attempt(self, trial, train):
        try:
            train()
            self.store.save(
                self.spent, self.trainer.models.get(trial.name) if trial.status == "trained" else None, trial
            )
        except Exception as error:  # whatever it is, the others are still worth trying
            self._drop(trial, " ".join(str(error).split())[:_TOLD_ERROR], "failed")

    def _drop(self, trial, why, status="dropped"):
        if trial.is_open:
            self.trainer.drop(trial, status, why)
            self.store.save(self.spent)
            self._tell(
                f"{trial.name}: {status}, for {why}" if status == "dropped" else f"{trial.name}: {status}: {why}"
            )

    def _drop_losers(self, trials):
        """Those that are far behind the best of these after an epoch, if that one has learned something, and all have
        had the steps to.
        """
        if len(self.plan.train) < _TELLING_STEPS * self.plan.batch_size:
            return
        begun = [trial for trial in self._find_begun(trials) if not math.isnan(trial.score)]
        best = self.find_best(begun)
        for trial in begun:
            gained, own = (self.trainer.measure_gain(each) for each in (best, trial))
            if trial is not best and self.trainer.has_learned(best) and own < (1 - _BEHIND) * gained:
                self._drop(trial, f"it gained less than half of what '{best.name}' did in its first epoch")

    def _estimate_fusion(self, singles):
        """Seconds of an epoch of a fusion of all inputs."""
        if len(self.plan.variants) < 2:
            return 0.0
        costs = [
            min((t.epoch_seconds for t in self._find_begun(singles) if name in t.inputs), default=0.0)
            for name in self.plan.variants
        ]
        return _FUSED * sum(costs)

    def _estimate_setup(self, singles):
        """Seconds that a fusion takes before it learns anything."""
        return _FUSED * max((trial.setup_seconds for trial in singles), default=0.0)

    def _count_epochs(self, singles, fusions):
        """For how many epochs of all that is open, and of so many fusions, there is time."""
        costs = sum(trial.epoch_seconds for trial in singles if trial.status == "begun")
        left = self.left - fusions * self._estimate_setup(singles)
        return left / max(costs + fusions * self._estimate_fusion(singles), 1e-9)

    def _fit_into_time(self, singles) -> int:
        """Drops what there is no time for; returns for how many fusions there is."""
        count, enough = len(self.plan.fusions) if len(self.plan.variants) > 1 else 0, self.plan.epochs / 2
        while self._count_epochs(singles, count) < enough and count > 1:
            count -= 1
        while self._count_epochs(singles, count) < enough and (several := self._find_rivals(singles)):
            worst = min(several, key=self.trainer.measure_gain)
            self._drop(worst, "there is no time for another encoder of this input")
        if self._count_epochs(singles, count) < _FEWEST_EPOCHS:
            count = 0
        while self._count_epochs(singles, count) < _FEWEST_EPOCHS and len(begun := self._find_begun(singles)) > 1:
            self._drop(max(begun, key=lambda trial: trial.epoch_seconds), "there is no time for it")
        return count

    def _find_begun(self, trials):
        return [trial for trial in trials if trial.status == "begun"]

    def _find_rivals(self, trials):
        """Those that are begun, of inputs with several such."""
        begun = self._find_begun(trials)
        inputs = [trial.inputs.keys() for trial in begun]
        return [trial for trial in begun if inputs.count(trial.inputs.keys()) > 1]

    def _settle_interrupted(self, trial):
        if trial.name in self.trainer.models and not self.find_trained():
            self.trainer.settle(trial)
        else:
            self.trainer.drop(trial, "interrupted", "training was interrupted")
        self.store.save(self.spent)

    def find_trained(self) -> list[Trial]:
        """The trials that may be chosen."""
        return [trial for trial in self.trials if trial.status == "trained"]

    def find_best(self, trials: Sequence[Trial]) -> Trial | None:
        """The trial with the best metric; the first of equals."""
        best = None
        for trial in trials:
            if best is None or math.isnan(best.score) or self.trainer.advantage(trial.score, best.score) > 0:
                best = trial
        return best

    def _show(self, score):
        return f"{self.plan.metric} {score:.4f}"

    def _tell(self, text):
        print(f"[{self.spent:4.0f} s of {self.seconds:.0f}] {text}", flush=True)
