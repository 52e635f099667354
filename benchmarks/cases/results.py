"""Figures on disk, written after each training and kept while the commit stays the same."""

import importlib.metadata
import json
import os
from pathlib import Path

PACKAGES = ("mmkeras", "tensorflow", "keras", "numpy")


def read_runs(path: Path, commit: str) -> list[dict]:
    """What was written at this commit."""
    held = json.loads(path.read_text()) if path.exists() else {}
    return held["runs"] if held.get("commit") == commit else []


def write_runs(path: Path, commit: str, runs: list[dict], packages=PACKAGES) -> str:
    """Writes figures and versions; returns a sentence that says what they belong to."""
    versions = {name: importlib.metadata.version(name) for name in packages}
    facts = {"commit": commit, "cores": os.cpu_count(), "versions": versions, "runs": runs}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts, indent=1) + "\n")
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"At commit {commit}, {os.cpu_count()} cores, {named}."
