"""Media cells: where a cell's content is, and reading it."""

from pathlib import Path


def locate(cell: str | bytes, folder: Path) -> str | bytes:
    """A path as an absolute one, taken from `folder` where it is relative; bytes and empty cells as they are."""
    if isinstance(cell, bytes) or not cell:
        return cell
    return str(folder / cell)


def read(cell: str | bytes) -> bytes:
    """The content of a located cell.

    Raises:
        OSError: when the file cannot be read.
    """
    return cell if isinstance(cell, bytes) else Path(cell).read_bytes()


def find_file_problem(cell: str | bytes) -> tuple[str, str, str, bool] | None:
    """What keeps a located cell from being read: kind, detail, remedy, rejected; None when nothing does."""
    if isinstance(cell, bytes):
        return None
    path = Path(cell)
    if path.is_dir():
        return ("not a file", "it is a folder", "name a file in it", True)
    if not path.exists():
        return ("file not found", f"no file at {path}", "correct the path; it is relative to the table's folder", True)
    if path.stat().st_size == 0:
        return ("empty file", "it has 0 bytes", "replace the file, or leave the cell empty", True)
    return None
