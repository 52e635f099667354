"""Several answers to one row."""

import itertools
import re
from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import ops

from mmkeras.metrics import OfKnown, fill_unknown, is_known
from mmkeras.targets.base import ERROR, Target
from mmkeras.targets.class_label import ClassTarget
from mmkeras.targets.measures.several import SeveralMeasures

_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)


@keras.saving.register_keras_serializable(package="mmkeras")
class MultiTarget(Target):
    """Several targets of each row, any of which may be missing in training: what is there is learned from.

    The output of the model is a dict from the name of a target to its output; loss and metrics go by these names. A
    row is labeled where it has a label of any target.

    Args:
        targets: names of columns of classes and objects from `mk.targets`, at least two; or a dict of such by name.
            A target without a name is called as its columns.

    Raises:
        ValueError: for fewer than two targets, a name that is not one of letters, digits and `_`, or answers of the
            same name.

    Example:

    >>> target = mk.targets.MultiTarget(["color", mk.targets.NumberTarget("size")])
    >>> target.adapt([("red", 1), ("blue", None), ("", 3)])
    >>> {name: part.tolist() for name, part in target.encode([("red", 1), ("", 3)]).items()}
    {'color': [1, -1], 'size': [[1.0], [3.0]]}
    """

    output_name = "outputs"

    def __init__(self, targets: Mapping[str, str | Target] | Sequence[str | Target]):
        parts = targets if isinstance(targets, Mapping) else {_find_name(part): part for part in targets}
        self.targets = {
            str(name): part if isinstance(part, Target) else ClassTarget(part) for name, part in parts.items()
        }
        if len(self.targets) < 2 or len(self.targets) < len(targets):
            raise ValueError(f"Several targets are at least two, of different names. Received: targets={targets}")
        if wrong := [name for name in self.targets if not _NAME.fullmatch(name)]:
            raise ValueError(
                "The name of a target begins with a letter, and has letters, digits and '_'. Give a dict from names to "
                f"targets. Received: {wrong}"
            )
        self.columns = [column for part in self.targets.values() for column in part.columns]
        answers = [
            *self.output_names,
            *(self._name(name, answer) for name, part in self.targets.items() for answer in part.answer_names),
            *self.columns,
        ]
        if len({*answers, ERROR}) < len(answers) + 1:
            raise ValueError(f"Each answer has a name of its own. Received: targets={targets}, with answers {answers}")

    @staticmethod
    def _name(name, answer):
        return f"{name}_{answer}"

    @property
    def output_names(self):
        return [self._name(name, part.output_name) for name, part in self.targets.items()]

    @property
    def output_units(self):
        return sum(part.output_units for part in self.targets.values())

    @property
    def default_loss(self):
        return {name: part.default_loss for name, part in self.targets.items()}

    @property
    def default_metrics(self):
        return {name: list(part.default_metrics) for name, part in self.targets.items()}

    @property
    def needs_tensors(self):
        return any(part.needs_tensors for part in self.targets.values())

    @property
    def is_adapted(self):
        return all(part.is_adapted for part in self.targets.values())

    def _split(self, cells):
        """For each target its cells."""
        start = 0
        for name, part in self.targets.items():
            stop = start + len(part.columns)
            yield name, part, [row[start] if stop == start + 1 else tuple(row[start:stop]) for row in cells]
            start = stop

    def adapt(self, cells):
        for _, part, own in self._split(cells):
            if not part.is_adapted:
                part.adapt(list(itertools.compress(own, _find_known(part, own))))

    def is_missing(self, cell):
        return all(part.is_missing(own) for _, part, (own,) in self._split([cell]))

    def find_problems(self, cells):
        """Those of the cells that are not missing; a row of none has those of the first target."""
        problems, found, offset = [[] for _ in cells], {}, 0
        is_labeled = np.zeros(len(cells), bool)
        for name, part, own in self._split(cells):
            known = _find_known(part, own)
            found[name] = part.find_problems(own)
            for index in np.flatnonzero(known):
                problems[index] += [finding._replace(part=finding.part + offset) for finding in found[name][index]]
            is_labeled |= known
            offset += len(part.columns)
        first = next(iter(found.values()))
        for index in np.flatnonzero(~is_labeled):
            problems[index] = first[index]
        return problems

    def encode(self, cells, tensors=None):
        """For each target what its own `encode` gives, with -1 or NaN where the cell is missing."""
        encoded = {}
        for name, part, own in self._split(cells):
            known = _find_known(part, own)
            inputs = None if tensors is None else {key: array[known] for key, array in tensors.items()}
            values = part.encode(list(itertools.compress(own, known)), inputs)
            unknown = np.nan if values.dtype.kind == "f" else -1
            encoded[name] = np.full((len(own), *values.shape[1:]), unknown, values.dtype)
            encoded[name][known] = values
        return encoded

    def activate(self, logits, mask=None, name=None):
        outputs, start = {}, 0
        for part_name, part in self.targets.items():
            stop = start + part.output_units
            outputs[part_name] = part.activate(logits[..., start:stop], mask, f"{name}_{part_name}")
            start = stop
        return outputs

    def name_outputs(self, outputs):
        return {self._name(name, part.output_name): outputs[name] for name, part in self.targets.items()}

    def own_outputs(self, outputs, name):
        """The outputs of the target of this name, as it calls them."""
        part = self.targets[name]
        return {part.output_name: outputs[self._name(name, part.output_name)]}

    def weigh(self, truth, sample_weight):
        weights = {}
        for name, labels in truth.items():
            known = ops.cast(is_known(labels), "float32")
            weights[name] = known if sample_weight is None else known * ops.cast(sample_weight, "float32")
        return weights

    def prepare_loss(self, truth, output):
        prepared = {}
        for name, part in self.targets.items():
            labels, _ = fill_unknown(truth[name])
            prepared[name] = part.prepare_loss(labels, output[name])
        truths, outputs = ({name: pair[i] for name, pair in prepared.items()} for i in range(2))
        return truths, outputs

    def prepare_metrics(self, metrics):
        """By name of a target; a list is that of each. Rows without a label of the target do not count."""
        if metrics is None:
            return None
        by_name = metrics if isinstance(metrics, Mapping) else dict.fromkeys(self.targets, metrics)
        return {
            name: [
                metric if isinstance(metric, OfKnown) else OfKnown(self.targets[name].prepare_metric(metric))
                for metric in (given if isinstance(given, list | tuple) else [given])
            ]
            for name, given in by_name.items()
        }

    def decode(self, outputs, tensors=None):
        answers = {}
        for name, part in self.targets.items():
            decoded = part.decode(self.own_outputs(outputs, name), tensors)
            answers |= {self._rename(name, answer): tensor for answer, tensor in decoded.items()}
        return answers

    def _rename(self, name, answer):
        part = self.targets[name]
        return self._name(name, answer) if answer in (part.output_name, *part.answer_names) else answer

    def describe(self, outputs, decoded=None, top: int | None = None):
        """The answers of all targets; `top` is for those that are classes."""
        decoded = self.decode_arrays(outputs) if decoded is None else decoded
        described = []
        for name, part in self.targets.items():
            answers = (*map(part.name_answer, part.columns), *part.answer_names)
            own = {answer: decoded[self._rename(name, answer)] for answer in answers}
            options = {"top": top} if part.has_classes else {}
            rows = part.describe(self.own_outputs(outputs, name), own, **options)
            described.append([{self._rename(name, key): value for key, value in row.items()} for row in rows])
        return [{key: value for part in row for key, value in part.items()} for row in zip(*described, strict=True)]

    def same_answer(self, expected, received):
        return np.all(
            [
                part.same_answer(self.own_outputs(expected, name), self.own_outputs(received, name))
                for name, part in self.targets.items()
            ],
            axis=0,
        )

    def scale(self, name):
        parts = dict(zip(self.output_names, self.targets.values(), strict=True))
        return parts[name].scale(parts[name].output_name) if name in parts else 1.0

    @property
    def measures(self):
        return SeveralMeasures({name: part.measures for name, part in self.targets.items()}, self.own_outputs)

    def assets(self):
        """Those of each target, the name of the target before theirs."""
        return {
            self._name(name, file): text for name, part in self.targets.items() for file, text in part.assets().items()
        }

    def get_config(self):
        return {"targets": {name: keras.saving.serialize_keras_object(part) for name, part in self.targets.items()}}

    @classmethod
    def from_config(cls, config):
        parts = {name: keras.saving.deserialize_keras_object(part) for name, part in config["targets"].items()}
        return cls(parts)


def _find_known(part, cells):
    """Which cells say something of a target."""
    return np.array([not part.is_missing(cell) for cell in cells], bool)


def _find_name(part):
    return "_".join(part.columns) if isinstance(part, Target) else str(part)
