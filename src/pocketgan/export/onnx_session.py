"""Opening an ONNX file in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_ERRORS_ONLY = 3


def read_model(path: str | Path) -> bytes:
    """The bytes of an ONNX file.

    Raises:
        ValueError: there is no such file.
    """
    if not Path(path).is_file():
        raise ValueError(f"there is no file {path}; write one with `pocketgan export ARTIFACT --format onnx --out {path}`")
    return Path(path).read_bytes()


def open_session(model: bytes, *, threads: int, label: str) -> InferenceSession:
    """A session on the CPU for a model of one input; ``label`` is its name in errors.

    Raises:
        ValueError: it is no ONNX model, or has not exactly one input.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Idle workers would otherwise spin on the cores that the next candidate of an interleaved measurement needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise ValueError(f"ONNX Runtime cannot read {label}: {str(error).splitlines()[0]}") from error
    names = [value.name for value in session.get_inputs()]
    if len(names) != 1:
        raise ValueError(f"{label} takes {len(names)} inputs ({', '.join(names)}), but only models of one image are run")
    return session
