import json
from pathlib import Path

import keras
from keras import ops

from mmkeras.encoders.needs import Needs
from mmkeras.encoders.pretrained import HubEncoder, import_keras_hub, project, read_preset
from mmkeras.layers.pooling import average, find_last
from mmkeras.preprocessing.tokenizers import BytePair, SentencePiece, WordPiece

_POOLING = ("first", "mean", "last")


@keras.saving.register_keras_serializable(package="mmkeras")
class KerasHubText(HubEncoder):
    """A language model of KerasHub that was trained elsewhere: BERT, RoBERTa, GPT-2 and their like.

    `mk.Text` takes vocabulary, special tokens, case and greatest length from it. Tokens are the last hidden states, the
    pooled vector is that of the first token, the mean of all, or that of the last one. Padding is masked. The network
    learns with the others; `mk.finetuning.freeze` keeps it as it is.

    References: BERT: Devlin et al. (2018); DistilBERT: Sanh et al. (2019); RoBERTa: Liu et al. (2019); ALBERT: Lan et
    al. (2019); ELECTRA: Clark et al. (2020); DeBERTaV3: He et al. (2021); GPT-2: Radford et al. (2019); OPT: Zhang et
    al. (2022).

    Args:
        preset: the name of one that KerasHub knows, such as `"bert_tiny_en_uncased"`, which it downloads; or a folder
            that `save_to_preset` wrote, or one in the format of Hugging Face.
        pooling: `"first"`, `"mean"` or `"last"`; None for what suits the preset: the mean where it was trained so, the
            last token of models that read from left to right, else the first.
        units: size of the tokens and of the pooled vector; None for that of the network.

    Raises:
        ImportError: without KerasHub.
        ValueError: when the preset cannot be read, or is of another kind.

    Example:

    >>> import keras_hub, tempfile
    >>> vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "tea"]
    >>> folder = tempfile.mkdtemp()
    >>> keras_hub.models.BertBackbone(7, 1, 2, 8, 16, max_sequence_length=16).save_to_preset(folder)
    >>> keras_hub.tokenizers.BertTokenizer(vocabulary, lowercase=True).save_to_preset(folder)
    >>> text = mk.Text(encoder=mk.encoders.KerasHubText(folder))
    >>> text.adapt(["Red tea", "tea"])
    >>> text.preprocessor.prepare_batch(tf.constant(["Red tea"])).numpy().tolist()
    [[2, 5, 6, 3]]
    """

    token_per_step = True

    networks = {
        "BertBackbone": "first",
        "DistilBertBackbone": "first",
        "ElectraBackbone": "first",
        "RobertaBackbone": "first",
        "AlbertBackbone": "first",
        "DebertaV3Backbone": "first",
        "GPT2Backbone": "last",
        "OPTBackbone": "last",
    }
    kept = ("pooling", "tokenizer", "start_token", "end_token", "first_ids", "id_shift")

    def __init__(self, preset: str | Path, pooling: str | None = None, units: int | None = None):
        if pooling not in (None, *_POOLING):
            raise ValueError(f"`pooling` of KerasHubText is one of {list(_POOLING)}. Received: pooling={pooling!r}")
        super().__init__(preset, units)
        facts = _read_facts(Path(self.preset))
        tokenizer = read_preset(import_keras_hub().tokenizers.Tokenizer, preset)
        converted, self.first_ids, self.id_shift = _convert_tokenizer(tokenizer, facts["strips_accents"])
        self.tokenizer = keras.saving.serialize_keras_object(converted)
        self.start_token, self.end_token = tokenizer.start_token, tokenizer.end_token
        self.pooling = pooling or facts["pooling"] or self.networks[self.network["class_name"]]

    def preprocessing(self):
        hard = {
            "tokenizer": keras.saving.deserialize_keras_object(self.tokenizer),
            "start_token": self.start_token,
            "end_token": self.end_token,
            "max_sequence_length": self.network["config"]["max_sequence_length"],
        }
        return Needs(hard=hard)

    def cut(self, backbone):
        output = backbone.output
        tokens = output["sequence_output"] if isinstance(output, dict) else output
        return keras.Model(backbone.input, tokens, name="network")

    def encode(self, inputs, preprocessor):
        mask = ops.not_equal(inputs, 0)
        given = {
            "token_ids": self.find_hub_ids(inputs),
            "padding_mask": ops.cast(mask, "int32"),
            "segment_ids": ops.zeros_like(inputs),
        }
        network = self.make_network()
        tokens = network({name: given[name] for name in network.input})
        pool = {"first": lambda tokens, mask: tokens[:, 0], "mean": average, "last": find_last}[self.pooling]
        tokens, pooled = project(tokens, pool(tokens, mask), self.units)
        return tokens, mask, pooled

    def find_hub_ids(self, ids):
        """The ids that the network knows for those of the tokenizer, in which padding is always 0."""
        if self.first_ids == [0] and not self.id_shift:
            return ids
        count = len(self.first_ids)
        first = ops.take(ops.convert_to_tensor(self.first_ids, "int32"), ops.minimum(ids, count - 1))
        return ops.where(ids < count, first, ids - self.id_shift)


def _read_facts(folder):
    """What a folder in the format of Hugging Face says: how it pools, and whether it strips accents."""

    def read(name):
        path = folder / name
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    if "model_type" not in read("config.json"):
        return {"pooling": None, "strips_accents": False}  # as KerasHub does
    strips = read("tokenizer_config.json").get("strip_accents")
    is_mean = read("1_Pooling/config.json").get("pooling_mode_mean_tokens")
    return {"pooling": "mean" if is_mean else None, "strips_accents": strips}


def _convert_tokenizer(tokenizer, strips_accents):
    """The tokenizer as one of `mk.tokenizers`, with padding as id 0; the ids of KerasHub for its first ids, and by how
    much the others are larger.
    """
    hub = import_keras_hub().tokenizers
    if isinstance(tokenizer, hub.WordPieceTokenizer):
        return WordPiece(tokenizer.get_vocabulary(), tokenizer.lowercase, strips_accents), [0], 0
    if isinstance(tokenizer, hub.SentencePieceTokenizer):
        return SentencePiece(tokenizer.proto), [0], 0
    pieces = sorted(tokenizer.vocabulary, key=tokenizer.vocabulary.get)
    padding = getattr(tokenizer, "pad_token", None)
    if padding is None:
        return BytePair(["[PAD]", *pieces], tokenizer.merges), [0], 1
    index = pieces.index(padding)
    order = [index, *range(index)]
    return BytePair([padding, *pieces[:index], *pieces[index + 1 :]], tokenizer.merges), order, 0
