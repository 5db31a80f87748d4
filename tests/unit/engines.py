"""Small scripts that answer like a Pulumi engine."""

from __future__ import annotations

from pathlib import Path


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def put(path: Path, version: str) -> Path:
    """An engine that answers with this version."""
    return script(path, f"echo v{version}")
