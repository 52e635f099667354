"""Measures sounds with openSMILE. Arguments: paths of an `.npz` file of float32 sounds at 16 kHz, and of one to write.

A process of its own, because openSMILE and TensorFlow end each other in one.
"""

import sys

import numpy as np
import opensmile

smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
with np.load(sys.argv[1]) as sounds:
    values = {name: smile.process_signal(sounds[name], 16000).to_numpy()[0] for name in sounds.files}
np.savez(sys.argv[2], names=np.array(smile.feature_names), **values)
