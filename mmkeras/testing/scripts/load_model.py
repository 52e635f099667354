"""Loads a saved model and writes its outputs and what it kept.

Arguments: paths of the model, of the inputs, of the outputs to write, and of the facts to write; then JSON with the
`path` to import from and the `modules` to import.
"""

import importlib
import json
import sys
import warnings

import keras
import numpy as np

from mmkeras.testing.reload import describe_model

own = json.loads(sys.argv[5])
if own["modules"]:
    sys.path[:] = own["path"]
for module in own["modules"]:
    importlib.import_module(module)
warnings.simplefilter("error", UserWarning)
model = keras.saving.load_model(sys.argv[1])
with np.load(sys.argv[2]) as archive:
    inputs = dict(archive)
outputs = enumerate(keras.tree.flatten(model.predict(inputs, verbose=0)))
facts, variables = describe_model(model)
np.savez(sys.argv[3], **{f"output {i}": output for i, output in outputs}, **variables)
with open(sys.argv[4], "w") as file:
    json.dump(facts, file)
