import numpy as np
import pytest
from media_files import write_sound

import mmkeras as mk

pytest.importorskip("opensmile", reason="the extra opensmile is not installed; its license is not everybody's")


def test_functionals_are_numbers_of_a_table(tmp_path):
    for name, frequency in {"low": 150, "high": 300}.items():
        write_sound(tmp_path / f"{name}.flac", "flac", frequency=frequency)
    rows = [{"voice": "low.flac"}, {"voice": "high.flac"}, {"voice": "gone.wav"}, {"voice": ""}]
    source, names = mk.add_functionals(mk.read(rows, folder=tmp_path), "voice")
    assert len(names) == 88
    pitch = source.table["voice_F0semitoneFrom27.5Hz_sma3nz_amean"].to_numpy()
    assert pitch[1] - pitch[0] == pytest.approx(12, abs=0.5)  # an octave
    assert np.isnan(pitch[2:]).all()
    report = mk.check(source, {"measures": mk.Tabular(numbers=names)})
    assert report.missing[names[0]] == 2
    assert not report.problems
