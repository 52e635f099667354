from mmkeras.exporting.child import TENSORFLOW
from mmkeras.exporting.formats.base import Format, Run
from mmkeras.exporting.parity import Tolerance
from mmkeras.exporting.signatures import TENSORS


class ONNX(Format):
    """A file for onnxruntime, any number of rows at once.

    Args:
        opset: version of ONNX's operators.

    Example:

    >>> mk.formats.ONNX().file
    'model.onnx'
    """

    name, file = "onnx", "model.onnx"
    tolerance = Tolerance(1e-4)
    packages = ("tf2onnx", "onnx", "onnxruntime")

    def __init__(self, opset: int = 18):
        self.opset = opset

    def prepare(self, work, target):
        work.freeze(batch_size=None)

    @classmethod
    def convert(cls, formats, work):
        for target, each in formats.items():
            arguments = {"signature": TENSORS, "opset": each.opset}
            work.run("convert_onnx", TENSORFLOW, saved_model=work.freeze(None), target=target, **arguments)

    @classmethod
    def run(cls, formats, work):
        runs = []
        for target in formats:
            outputs = str(work.folder / f"{target.stem}.npz")
            answer = work.run("run_onnx", artifact=target, inputs=work.row_files["npz"], outputs=outputs)
            runs.append(Run([work.load(outputs)], **answer))
        return runs

    def get_config(self):
        return {"opset": self.opset}
