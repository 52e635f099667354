"""A call of `mk.fit` as a YAML file: its arguments, and of each object its class and the arguments of it."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from mmkeras import encoders, fusion, modalities, targets
from mmkeras.data.names import refuse_unknown, suggest
from mmkeras.encoders import Encoder
from mmkeras.fusion import Fusion
from mmkeras.modalities import Modality
from mmkeras.preprocessing import tokenizers
from mmkeras.preprocessing.tokenizers import Tokenizer
from mmkeras.targets import Target

_MOST_BYTES = 1 << 20
_PATHS = ("source", "validation", "folder", "resume")


def list_classes() -> dict[str, type]:
    """The classes that a file may name, by name: modalities, encoders, fusions, targets and tokenizers."""
    bases = {modalities: Modality, encoders: Encoder, fusion: Fusion, targets: Target, tokenizers: Tokenizer}
    return Modality.kinds | {
        name: value
        for module, base in bases.items()
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, base) and value is not base
    }


def read_run(path: str | Path, function: Callable, allow_outside: bool = False) -> dict:
    """The arguments of a function, `mk.fit`, from a file; paths in it start from the current folder.

    A file is no reason to read and write elsewhere: it may not say so itself.

    An object is written as a dict of its class and its arguments: `{Text: {encoder: {TextCNN: {units: 32}}}}`.

    Args:
        path: of the file.
        function: whose arguments it holds.
        allow_outside: whether its paths may lead out of the current folder.

    Raises:
        FileNotFoundError, ValueError, TypeError: name what is wrong, and the nearest known name.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"No file at {path}. The current folder is {Path.cwd()}.")
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(
            f"{path} has {path.stat().st_size:,} bytes, and a file of arguments has up to {_MOST_BYTES:,}."
        )
    try:
        held = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(held, Mapping):
        raise ValueError(f"{path} holds arguments of mk.fit, such as `source: train.csv`. Received: {held!r:.80}")
    try:
        refuse_unknown(function, map(str, held))
        # The names of inputs are no classes, whatever they are.
        arguments = {
            name: {str(key): _build(part) for key, part in value.items()}
            if name == "modalities" and isinstance(value, Mapping)
            else _build(value)
            for name, value in held.items()
        }
    except (TypeError, ValueError) as error:
        raise type(error)(f"{path}: {error}") from None
    if "allow_outside" in arguments:
        raise ValueError(f"{path}: a file cannot trust itself. Say so where it is used: --allow-outside")
    for name in _PATHS:
        if isinstance(arguments.get(name), str) and not allow_outside:
            _refuse_outside(path, name, arguments[name])
    return arguments


def _refuse_outside(path, name, value):
    if not Path(value).resolve().is_relative_to(Path.cwd().resolve()):
        raise ValueError(
            f"{path}: `{name}` leads out of the current folder, {Path.cwd()}. If you trust the file: --allow-outside. "
            f"Received: {name}={value!r}"
        )


def write_run(path: str | Path, arguments: Mapping):
    """Writes arguments of `mk.fit`, those that are not None, so that `read_run` gives them again."""
    path = Path(path)
    held = {name: _describe(value) for name, value in arguments.items() if value is not None}
    for name in _PATHS:
        if name in held and Path(held[name]).resolve().is_relative_to(Path.cwd().resolve()):
            held[name] = Path(held[name]).resolve().relative_to(Path.cwd().resolve()).as_posix()
    text = yaml.safe_dump(held, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100)
    path.write_text(f"# mmkeras fit {path.name}\n{text}", encoding="utf-8")


def _build(value):
    """Objects from how they are written; all else as it is."""
    if isinstance(value, list):
        return [_build(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    if len(value) == 1:
        classes = list_classes()
        ((name, arguments),) = value.items()
        if name in classes and (arguments is None or isinstance(arguments, Mapping)):
            arguments = {str(key): _build(part) for key, part in (arguments or {}).items()}
            refuse_unknown(classes[name], arguments)
            return classes[name](**arguments)
        if str(name)[:1].isupper() and isinstance(arguments, Mapping | None):
            raise ValueError(f"There is no class {name!r}.{suggest(name, classes)} Known: {sorted(classes)}")
    return {str(name): _build(part) for name, part in value.items()}


def _describe(value):
    """How an object is written: its class, and those arguments that are not as by default."""
    if isinstance(value, Modality):
        return {type(value).__name__: _describe_modality(value)}
    if isinstance(value, Encoder | Fusion | Target | Tokenizer):
        known = inspect.signature(type(value)).parameters
        config = {
            name: getattr(value, name, part)
            for name, part in value.get_config().items()
            if name in known and name != "name"
        }
        changed = {name: part for name, part in config.items() if part != known[name].default}
        return {type(value).__name__: {name: _describe(part) for name, part in changed.items()}}
    if isinstance(value, Mapping):
        return {str(name): _describe(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_describe(part) for part in value]
    return str(value) if isinstance(value, Path) else value


def _describe_modality(modality):
    if getattr(modality, "augmentation", None):
        raise ValueError(f"Layers of augmentation are not written to YAML. Received: {modality.augmentation}")
    given = {name: vars(modality)[name] for name in ("encoder", "column") if vars(modality)[name] is not None}
    try:
        usual = type(modality)(**given).preprocessor.get_config()
    except ValueError:
        usual = {}  # a table has no columns by default
    known = inspect.signature(type(modality)).parameters
    arguments = {
        name: getattr(modality.preprocessor, name, part)
        for name, part in modality.preprocessor.get_config().items()
        if name in known and part not in (usual.get(name), known[name].default) and part != []
    }
    return {name: _describe(part) for name, part in {**arguments, **given}.items()}


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, without references, which let a small file hold as much as one likes, and without a key
    that stands twice.
    """

    def compose_node(self, parent, index):
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()
            raise yaml.constructor.ConstructorError(None, None, "references (*) are not read", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key.value}' stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
