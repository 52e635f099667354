from mmkeras.exporting import graphs
from mmkeras.exporting.child import TENSORFLOW
from mmkeras.exporting.formats.base import Format, Run
from mmkeras.exporting.parity import Tolerance
from mmkeras.exporting.signatures import RAW, TENSORS


class SavedModel(Format):
    """A folder for TF Serving and TensorFlow's C API, with a signature for raw rows and one for tensors.

    It is run without Keras and mmkeras.

    Example:

    >>> mk.formats.SavedModel().name
    'saved_model'
    """

    name = file = "saved_model"
    tolerance = Tolerance(1e-5, 1.0)

    def prepare(self, work, target):
        graphs.write(work.model, target, work.on_error)

    @classmethod
    def convert(cls, formats, work):
        """It is written by `prepare`, where the model is."""

    @classmethod
    def run(cls, formats, work):
        return [cls._run_one(target, work) for target in formats]

    @staticmethod
    def _run_one(target, work):
        outputs = {name: str(work.folder / f"{target.name}-{name}.npz") for name in (RAW, TENSORS)}
        inputs = {RAW: work.row_files["raw"], TENSORS: work.row_files["tensors"]}
        answer = work.run(
            "run_saved_model", TENSORFLOW, artifact=target, signatures=[RAW, TENSORS], inputs=inputs, outputs=outputs
        )
        return Run([work.load(path) for path in outputs.values()], answer[RAW]["latency_ms"])
