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


def open_session(model: bytes | Path, *, threads: int | None, label: str, inputs: int = 1) -> InferenceSession:
    """A session on the CPU for a model of so many ``inputs``; ``label`` is its name in errors.

    Args:
        model: the content of a file; or its path, beside which the file may keep its weights.
        threads: how many; None for all cores.
        label: what errors call it.
        inputs: how many tensors it reads.

    Raises:
        ValueError: it is no ONNX model, or has another number of inputs, or ``threads`` is less than 1.
    """
    import onnxruntime  # heavy

    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, found {threads}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Idle workers would otherwise spin on the cores that the next candidate of an interleaved measurement needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        source = model if isinstance(model, bytes) else str(model)
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no public base class
        reason = str(error).strip().splitlines()[-1]
        raise ValueError(f"{label} is no ONNX model that ONNX Runtime can open ({reason})") from error
    names = [value.name for value in session.get_inputs()]
    if len(names) != inputs:
        wanted = "one input, the images" if inputs == 1 else f"{inputs} inputs"
        raise ValueError(f"{label} must have {wanted}; it has {len(names)}: {', '.join(names)}")
    return session
