"""Which cells of rows cannot be used by a model, and why."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import keras

from mmkeras.data import MediaError, Report, Source, media
from mmkeras.data.report import Finding
from mmkeras.modalities import Modality
from mmkeras.targets import ClassTarget, Target

_CELLS_A_CHUNK = 256


def check(source: Source, modalities: Mapping[str, Modality], target: str | Target | None = None) -> Report:
    """Reads and decodes every cell, and names each one with something wrong.

    A bad cell rejects its row; a missing one does not: its modality is absent there.

    Args:
        source: the rows.
        modalities: dict from input name to modality.
        target: the column that is predicted, or an object from `mk.targets`; rows without it are rejected. None for
            that of the source, if it was read with one.

    Returns: a `Report`; print it to read it.

    Example:

    >>> report = mk.check(mk.read([{"image": "nowhere.png"}, {"image": ""}]), {"image": mk.Image()})
    >>> report.missing, report.rejected, report.problems[0].kind
    ({'image': 1}, {0}, 'file not found')
    """
    target = source.target if target is None else target
    return check_rows(source, modalities, target if isinstance(target, Target | None) else ClassTarget(target))


def check_rows(source: Source, modalities: Mapping[str, Modality], target: Target | None = None) -> Report:
    """As `check`; without a target, rows that are only answered."""
    missing, problems = {}, []
    for name, modality in modalities.items():
        columns, preprocessor = modality.source_columns(name), modality.preprocessor
        cells = modality.read(name, source)
        found = _check_input(source, columns, cells, preprocessor)
        nothing_there = sum(problem.kind in media.NOTHING_THERE and not problem.rejected for problem in found)
        for column, part in zip(columns, zip(*cells, strict=True) if preprocessor.parts else [cells], strict=True):
            count = sum(map(preprocessor.cells.is_empty, part)) + nothing_there
            missing[column] = max(missing.get(column, 0), count)  # of several inputs that read it
        problems += found
    if target is not None:
        problems += _check_target(source, target)
    problems.sort(key=lambda problem: problem.index)
    return Report(source.name, len(source), missing, problems)


def keep_usable(source: Source, report: Report) -> Source:
    """The rows that a report does not reject.

    Raises:
        ValueError: when none is left.
    """
    if len(report.rejected) == len(source):
        raise ValueError(f"No usable row is left.\n{report}")
    return source.without(report.rejected) if report.rejected else source


def _check_input(source, columns, cells, preprocessor):
    if preprocessor.media_type and source.is_prepared:
        return []  # the files were read when they were prepared
    distinct = list(dict.fromkeys(cell for cell in cells if not preprocessor.is_empty(cell)))
    found = {cell: [f] for cell in distinct if (f := preprocessor.find_unreadable(cell))}
    if preprocessor.media_type:
        outside = source.find_outside([cell for cell in distinct if cell not in found])
        found |= {cell: [finding] for cell, finding in outside.items()}
    identities = {cell: _identify(cell, preprocessor) for cell in distinct if cell not in found}
    known = source.checked_cells.setdefault(_describe(preprocessor), {})
    new = [cell for cell, identity in identities.items() if identity not in known]
    known.update((identities[cell], findings) for cell, findings in _check_distinct(new, preprocessor, columns[0]))
    found |= {cell: findings for cell, identity in identities.items() if (findings := known[identity])}
    return [
        source.describe_problem(
            index, columns[finding.part], cell[finding.part] if preprocessor.parts else cell, finding
        )
        for index, cell in enumerate(cells)
        for finding in found.get(cell, [])
    ]


def _describe(preprocessor):
    return type(preprocessor).__name__, json.dumps(preprocessor.get_config(), sort_keys=True)


def _identify(cell, preprocessor):
    """What a cell has to keep so that it need not be checked again: its content; of a file the time and the size."""
    return (cell, media.find_stamp(cell)) if preprocessor.media_type else cell


def _check_distinct(cells, preprocessor, column):
    """Each cell with its findings, with a progress bar where files are read."""
    chunks = [cells[i : i + _CELLS_A_CHUNK] for i in range(0, len(cells), _CELLS_A_CHUNK)]
    progress = keras.utils.Progbar(
        len(cells), unit_name="cell", verbose=int(len(chunks) > 4 and preprocessor.media_type is not None)
    )
    if progress.verbose:
        print(f"Checking the files of column '{column}'")
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda chunk: _check_chunk(chunk, preprocessor), chunks)
        for chunk, findings in zip(chunks, results, strict=True):
            yield from zip(chunk, findings, strict=True)
            progress.add(len(chunk))


def _check_chunk(cells, preprocessor):
    if preprocessor.media_type:
        return [_check_file(cell, preprocessor) for cell in cells]
    return preprocessor.find_problems(cells)


def _check_file(cell, preprocessor):
    try:
        content = preprocessor.load(cell)
    except MediaError as error:
        return [error.finding]
    if preprocessor.is_empty(content):
        kind = {"audio": "no sound track", "video": "no frames"}.get(preprocessor.media_type, "no content")
        detail = "the recording does not hold what this input reads, which counts as missing"
        return [Finding(kind, detail, "leave the cell empty, or replace the file", False)]
    return preprocessor.find_problems([content])[0]


def _check_target(source, target):
    cells = source.values(target.columns)
    several = len(target.columns) > 1
    return [
        source.describe_problem(index, target.columns[finding.part], _show(cell, finding, several), finding)
        for index, (cell, findings) in enumerate(zip(cells, target.find_problems(cells), strict=True))
        for finding in findings
    ]


def _show(cell, finding, several):
    cell = cell[finding.part] if several else cell
    return "" if cell is None or cell != cell else str(cell)
