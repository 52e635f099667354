"""Public data sets, laid out on disk the way users have their own: tables, and files beside them."""

import shutil
from pathlib import Path

import pandas as pd


def easy_vqa(folder: str | Path = "easy-vqa") -> Path:
    """Questions on images of one colored shape, from the package `easy-vqa` (Victor Zhou, 2019; MIT).

    Writes `train.csv` (38,575 rows on 4,000 images) and `test.csv` (9,673 on 1,000) with the columns
    `question,image,answer`, and the PNG files, 64x64 pixels, into `images/train` and `images/test`.
    There are 13 answers. A folder that holds the data already is left as it is.

    Args:
        folder: where to write.

    Returns: the folder.

    Raises:
        ImportError: when the package is not installed.
    """
    folder = Path(folder)
    if (folder / "test.csv").exists():
        return folder
    try:
        import easy_vqa as package
    except ImportError:
        raise ImportError("This data set comes from a package of its own: pip install 'mmkeras[demo]'") from None
    train = package.get_train_questions(), package.get_train_image_paths()
    test = package.get_test_questions(), package.get_test_image_paths()
    for split, ((questions, answers, image_ids), paths) in {"train": train, "test": test}.items():
        images = folder / "images" / split
        images.mkdir(parents=True, exist_ok=True)
        for image_id, path in paths.items():
            shutil.copyfile(path, images / f"{image_id}.png")
        image_cells = [f"images/{split}/{image_id}.png" for image_id in image_ids]
        table = pd.DataFrame({"question": questions, "image": image_cells, "answer": answers})
        table.to_csv(folder / f"{split}.csv", index=False)
    return folder
