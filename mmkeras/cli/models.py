"""What several commands do with a saved model."""

from pathlib import Path


def add_model(command):
    """The argument that names a saved model."""
    command.add_argument("model", metavar="MODEL", help="a .keras file of a task, as `mmkeras fit` writes")


def load_task(path: str):
    """The task in a file.

    Raises:
        FileNotFoundError, TypeError, ValueError: when the file is not there, or holds something else.
    """
    import keras

    from mmkeras.tasks import Task

    if not Path(path).is_file():
        raise FileNotFoundError(f"No model at {path}. The current folder is {Path.cwd()}.")
    model = keras.saving.load_model(path)
    if not isinstance(model, Task):
        raise TypeError(f"This command takes a task of mmkeras. Received: a {type(model).__name__} in {path}")
    return model
