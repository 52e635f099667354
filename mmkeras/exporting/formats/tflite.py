from mmkeras.exporting.child import TENSORFLOW, ExportError
from mmkeras.exporting.formats.base import Format, Run
from mmkeras.exporting.parity import Tolerance
from mmkeras.exporting.signatures import TENSORS

_QUANTIZATIONS = (None, "dynamic_range")


class TFLite(Format):
    """A file for phones and other small machines, one row at a time, of TFLite's own ops only.

    Args:
        quantize: None for float32; `"dynamic_range"` for weights in 8 bits.

    Raises:
        ValueError: for an unknown quantization.

    Example:

    >>> mk.formats.TFLite(quantize="dynamic_range").file
    'model_dynamic_range.tflite'
    """

    packages = ("ai_edge_litert",)

    def __init__(self, quantize: str | None = None):
        if quantize not in _QUANTIZATIONS:
            raise ValueError(f"`quantize` of TFLite is one of {_QUANTIZATIONS}. Received: quantize={quantize!r}")
        self.quantize = quantize

    @property
    def name(self):
        return "tflite" if self.quantize is None else f"tflite_{self.quantize}"

    @property
    def file(self):
        return "model.tflite" if self.quantize is None else f"model_{self.quantize}.tflite"

    @property
    def tolerance(self):
        return Tolerance(1e-4) if self.quantize is None else Tolerance()

    def prepare(self, work, target):
        work.freeze(batch_size=1)  # TFLite converts no recurrent layer with an unknown batch size

    @classmethod
    def convert(cls, formats, work):
        targets = {str(target): each.quantize for target, each in formats.items()}
        work.run("convert_tflite", TENSORFLOW, saved_model=work.freeze(1), signature=TENSORS, targets=targets)

    @classmethod
    def run(cls, formats, work):
        outputs = {str(target): str(work.folder / f"{target.stem}.npz") for target in formats}
        answer = work.run("run_tflite", signature=TENSORS, inputs=work.row_files["npz"], outputs=outputs)
        for target in formats:
            if foreign := [op for op in answer[str(target)]["ops"] if op.startswith("CUSTOM")]:
                raise ExportError(f"{target.name} holds ops that the TFLite interpreter does not have: {foreign}")
        return [Run([work.load(path)], **answer[target]) for target, path in outputs.items()]

    def get_config(self):
        return {"quantize": self.quantize}
