"""Keeps what TensorFlow and Keras say of themselves, and nobody can act on, off the screen."""

import contextlib
import os
import re
import sys
import tempfile
import warnings

# TensorFlow writes these before its own log level is read, when it is imported and (2.20) when it first optimizes a
# graph, and offers no switch.
LOG_LINE = re.compile(rb"[IWE]\d{4} |WARNING: All log messages before absl::Init")


@contextlib.contextmanager
def drop_lines(pattern: re.Pattern):
    """Drops the lines that begin with the pattern from what is written to file descriptor 2, C++ included.

    The rest (a warning, a loader's error) is passed on at the end.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            log.seek(0)
            for line in log:
                if not pattern.match(line):
                    os.write(2, line)


@contextlib.contextmanager
def several_models():
    """Without the warnings that several models in one process trace more graphs than one."""
    import tensorflow as tf

    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def import_tensorflow():
    """Imports TensorFlow and the ops of its tokenizer without their start-up lines."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors come as exceptions all the same
    with drop_lines(LOG_LINE):
        import tensorflow  # noqa: F401
        import tensorflow_text  # noqa: F401


def require_tensorflow_backend():
    """mmkeras works on Keras's TensorFlow backend alone; says so before anything else fails."""
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            "mmkeras needs the TensorFlow backend of Keras. "
            f"Received: backend={keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow before Keras is imported."
        )


import_tensorflow()
require_tensorflow_backend()
# Keras 3.15 warns of its own default argument whenever `fit` is given a tf.data.Dataset.
warnings.filterwarnings("ignore", message="`shuffle=True` was passed, but will be ignored")
