"""Keeps what TensorFlow and Keras say of themselves, and nobody can act on, off the screen.

TensorFlow 2.21 writes log lines from C++ to file descriptor 2 while it is imported, before its own log level is
read, and offers no switch. Whatever else is written there meanwhile (a warning, a loader's error) is passed on.
"""

import os
import re
import sys
import tempfile
import warnings

_START_UP_LINE = re.compile(rb"[IWE]\d{4} \d\d[:\d. ]|WARNING: All log messages before absl::Init|[IWE]0000 ")


def import_tensorflow():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors come as exceptions all the same
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
            import tensorflow_text  # noqa: F401  registers the ops of the tokenizer
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            log.seek(0)
            for line in log:
                if not _START_UP_LINE.match(line):
                    os.write(2, line)


import_tensorflow()

# Keras 3.15 warns of its own default argument whenever `fit` is given a tf.data.Dataset.
warnings.filterwarnings("ignore", message="`shuffle=True` was passed, but will be ignored")
