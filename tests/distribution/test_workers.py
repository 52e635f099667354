"""Several processes on this machine give what one gives, also when one of them dies."""

import numpy as np
import pytest
from training_jobs import compare, launch_jobs, run_jobs, try_jobs

TOLERANCE = 3e-5
PAIRS = {"case": "pairs", "rows": 41}


@pytest.mark.slow
def test_a_worker_dies_and_training_ends_as_undisturbed(data, tmp_path):
    """Killed in the third epoch, all are started again, and go on after the second."""
    job = {"case": "table", "backup": str(tmp_path / "backup"), "dies_in_epoch": 2, "worker_that_dies": 1}
    ((chief, worker),), printed = launch_jobs([job], 2, data, tmp_path, restarts=1)
    assert "[mmkeras] worker 1 was ended by SIGKILL; all are started again, 1 times at most" in printed
    assert compare(chief, worker) == 0
    assert not (tmp_path / "backup").exists()
    (one,) = run_jobs([{"case": "table", "how": "one"}], data, tmp_path)
    for name in [name for name in one if name.startswith("history")]:
        assert len(chief.pop(name)) == 1  # of the epoch after the restart
        one.pop(name)
    assert compare(one, chief) < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 3])
def test_several_workers_train_as_one(data, tmp_path, workers):
    jobs = [PAIRS, {"case": "table"}, {"case": "aligned", "epochs": 1}]
    found, _ = launch_jobs(jobs, workers, data, tmp_path)
    expected = run_jobs([{"how": "one", **job} for job in jobs], data, tmp_path)
    differences = [compare(one, other) for one, others in zip(expected, found, strict=True) for other in others]
    assert max(differences) < TOLERANCE, differences


@pytest.mark.slow
def test_the_chief_dies_and_training_goes_on(data, tmp_path):
    job = {"case": "table", "backup": str(tmp_path / "backup"), "dies_in_epoch": 1, "worker_that_dies": 0}
    job["export"] = str(tmp_path / "artifacts")
    ((chief, worker),), printed = launch_jobs([job], 2, data, tmp_path, restarts=1)
    assert "worker 0 was ended by SIGKILL" in printed
    assert (tmp_path / "artifacts" / "report.json").exists()
    assert compare(chief, worker) == 0


@pytest.mark.slow
@pytest.mark.parametrize("rows", ["table", "records", "service"])
def test_every_row_goes_to_one_worker(data, tmp_path, rows, request):
    """In every epoch, and each time in another order."""
    job = {"from": rows, "batch_size": 8}
    if rows == "service":
        job["service"] = request.getfixturevalue("service").address
    (found,), _ = launch_jobs([job], 2, data, tmp_path)
    for epoch in ("epoch 0", "epoch 1"):
        assert sorted(np.concatenate([each[epoch] for each in found])) == list(range(120))
    assert all(each["epoch 0"].tolist() != each["epoch 1"].tolist() for each in found)


@pytest.mark.slow
def test_workers_with_other_rows_are_refused(data, tmp_path):
    status, printed = try_jobs([{"case": "table", "rows_of_worker_1": 42}], 2, data, tmp_path)
    assert status != 0
    assert "the rows of workers [1] differs from that of worker 0" in printed
