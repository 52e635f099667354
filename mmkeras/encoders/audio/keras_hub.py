from pathlib import Path

import keras
from keras import ops

from mmkeras.encoders.needs import Needs
from mmkeras.encoders.pretrained import HubEncoder, import_keras_hub, project, read_preset
from mmkeras.layers.pooling import average
from mmkeras.layers.whisper import WhisperSpectrogram
from mmkeras.preprocessing.places import cut_evenly

_MOONSHINE = ((127, 64), (7, 3), (3, 2))  # steps that each of its convolutions sees, and by how many it moves


@keras.saving.register_keras_serializable(package="mmkeras")
class KerasHubAudio(HubEncoder):
    """The encoder of a network of KerasHub that was trained to write down speech: Whisper, Moonshine.

    `mk.Audio` takes the sample rate from it, and for Whisper the 30 s that it always hears, with silence behind shorter
    recordings. Tokens are its last hidden states, those behind the end of the recording masked; the pooled vector is
    their mean. The decoder is left out.

    References: Whisper: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022); Moonshine:
    Jeffries et al., "Moonshine: Speech Recognition for Live Transcription and Voice Commands" (2024).

    Args:
        preset: the name of one that KerasHub knows, such as `"whisper_tiny_en"`, which it downloads; or a folder that
            `save_to_preset` wrote, or one in the format of Hugging Face, with an audio converter.
        units: size of the tokens and of the pooled vector; None for that of the network.

    Raises:
        ImportError: without KerasHub.
        ValueError: when the preset cannot be read, or is of another kind.

    Example:

    >>> import keras_hub, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> keras_hub.models.WhisperBackbone(9, 1, 2, 8, 16, max_encoder_sequence_length=100).save_to_preset(folder)
    >>> keras_hub.layers.WhisperAudioConverter(max_audio_length=1).save_to_preset(folder)
    >>> audio = mk.Audio(encoder=mk.encoders.KerasHubAudio(folder))
    >>> audio.preprocessor.seconds, audio.build_encoder("speech").output["tokens"].shape
    (1.0, (None, 50, 8))
    """

    networks = ("WhisperBackbone", "MoonshineBackbone")
    kept = ("sample_rate", "seconds")

    def __init__(self, preset: str | Path, units: int | None = None):
        super().__init__(preset, units)
        converter = read_preset(import_keras_hub().layers.AudioConverter, preset)
        self.sample_rate = converter.sampling_rate
        self.seconds = float(converter.max_audio_length) if self._is_whisper else None

    @property
    def _is_whisper(self):
        return self.network["class_name"] == "WhisperBackbone"

    def preprocessing(self):
        length = {"seconds": self.seconds} if self._is_whisper else {}
        return Needs(hard={"sample_rate": self.sample_rate, **length})

    def cut(self, backbone):
        names = ("encoder_features",) if self._is_whisper else ("encoder_input_values", "encoder_padding_mask")
        inputs = {name: backbone.input[name] for name in names}
        return keras.Model(inputs, backbone.output["encoder_sequence_output"], name="network")

    def locate(self, preprocessor, cells=None):
        samples, rate = preprocessor.shape[0], preprocessor.sample_rate
        if self._is_whisper:
            return cut_evenly("seconds", samples / rate, 2 * 160 / rate, samples // (2 * 160))
        count, step = samples, 1
        for size, stride in _MOONSHINE:
            count, step = (count - size) // stride + 1, step * stride
        return cut_evenly("seconds", samples / rate, step / rate, count)

    def encode(self, inputs, preprocessor, length):
        network = self.make_network()
        if self._is_whisper:
            features = WhisperSpectrogram(self.network["config"]["num_mels"], name="spectrogram")(inputs)
            tokens = network({"encoder_features": features})
            real = (length + 2 * 160 - 1) // (2 * 160)  # a token is two frames of 10 ms
        else:
            is_real = ops.less(ops.arange(inputs.shape[1], dtype="int32"), ops.expand_dims(length, -1))
            given = {"encoder_input_values": ops.expand_dims(inputs, -1), "encoder_padding_mask": is_real}
            tokens, real = network(given), length
            for size, step in _MOONSHINE:
                real = (real - size) // step + 1
        mask = ops.less(ops.arange(tokens.shape[1], dtype="int32"), ops.expand_dims(ops.maximum(real, 1), -1))
        tokens, pooled = project(tokens, average(tokens, mask), self.units)
        return tokens, mask, pooled
