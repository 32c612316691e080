"""Files of ``torch.save``, read as data: nothing in them is called, and no more work is done than their size allows.

``torch.load(weights_only=True)`` runs no foreign code, but does whatever a file asks for: a few kilobytes can ask for hours and
terabytes. Here the pickle is interpreted instead. It may contain tensors, dicts, lists, tuples, text and numbers; results of
the few other functions that PyTorch allows become None. A step takes constant time, but for data whose size was compared with
the file's.
"""

from __future__ import annotations

import math
import pickletools
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch
from torch import Tensor

from pocketgan.utils.registry import listed

MAX_STEPS = 2_000_000
"""Steps of the longest pickle that is read: a network of a thousand tensors takes thirty thousand."""
MAX_PICKLE = 64 * 2**20
"""Bytes of the longest pickle that is read."""
MAX_RATIO = 4
"""Largest allowed size of the content over that of the file: PyTorch does not compress, and weights hardly can be."""

_LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the number with which files before PyTorch 1.6 begin, after two bytes
_ORDERED_DICT, _FROM_TYPE = "collections.OrderedDict", "torch._tensor._rebuild_from_type_v2"
_TENSOR = re.compile(r"torch\._utils\._rebuild_tensor(_v2|_v3)?")
_PARAMETER = re.compile(r"torch\._utils\._rebuild_parameter(_with_state)?|torch\.nn\.parameter\.Parameter")
_OTHER_TENSOR = re.compile(r"torch\._utils\._rebuild_\w+")
_STORAGE = re.compile(r"torch\.(?:storage\.|cuda\.)?(\w+)Storage")
_INERT = re.compile(
    r"torch\.(device|Size|Tensor|per_\w+|serialization\._get_layout)|collections\.Counter|(__builtin__|builtins)\.(set|bytearray|complex)"
    r"|numpy\.(dtype|dtypes\.\w+|_?core\.multiarray\.scalar)|_codecs\.encode"
)
_DTYPES = {f"torch.{name}": dtype for name, dtype in vars(torch).items() if isinstance(dtype, torch.dtype)}
_OLD_NAMES = {"Untyped": "uint8", "Byte": "uint8", "Char": "int8", "ComplexFloat": "cfloat", "ComplexDouble": "cdouble"}
_DAMAGE = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


class Storage(NamedTuple):
    """Numbers of one or several tensors, as a pickle refers to them."""

    key: str
    dtype: torch.dtype
    numel: int
    begin: int
    """Place of the first one in what is stored under the key; above 0 only in files before PyTorch 1.6."""


class _Refused(Exception):
    """Reason not to read a file, in words that follow its name."""


class _Name(str):
    """Name of a function or class to which a pickle refers."""


def load_torch_file(path: Path) -> Any:
    """Data of a file of ``torch.save``, of either format: tensors on the CPU, dicts, lists, tuples, text, numbers and None.

    Raises ``ValueError``, with the file's name, for another file, a damaged one, one that holds code, and one that asks for
    more than its size allows.
    """
    try:
        with path.open("rb") as file:
            start = file.read(2 + len(_LEGACY))
            if start.startswith(b"PK\x03\x04"):
                return _read_archive(file, path.stat().st_size)
            if start.endswith(_LEGACY):
                return _read_legacy(file, path.stat().st_size)
            if start.startswith(b"\x80"):
                raise _Refused("is not a checkpoint: it is no pickle that torch.save writes")
            raise _Refused(f"is not a checkpoint: no torch.save file begins with {start[:4]!r}")
    except _Refused as error:
        raise ValueError(f"{path} {error}") from None
    except (*_DAMAGE, zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError) as error:
        raise ValueError(f"{path} is cut short or damaged: fetch or save it again ({listed([str(error)])})") from None


def _read_archive(file: IO[bytes], size: int) -> Any:
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry.file_size for entry in archive.infolist()}
        root = next((name.removesuffix("data.pkl") for name in entries if re.fullmatch(r"[^/]+/data\.pkl", name)), None)
        if root is None:
            raise _Refused("is not a checkpoint: it is an archive without the data.pkl that torch.save writes")
        if f"{root}constants.pkl" in entries:
            raise _code("TorchScript")
        if sum(entries.values()) > MAX_RATIO * size or entries[f"{root}data.pkl"] > MAX_PICKLE:
            raise _Refused(f"holds {sum(entries.values()):,} bytes in {size:,}: no weights can be packed so tightly")
        if f"{root}byteorder" in entries and archive.read(f"{root}byteorder") != b"little":
            raise _Refused("was written on a machine of another byte order: save it anew on one like this")
        stored: dict[str, Tensor] = {}

        def numbers(storage: Storage) -> Tensor:
            name = f"{root}data/{storage.key}"
            if entries.get(name) != storage.numel * storage.dtype.itemsize:
                raise EOFError(f"{name} has not its {storage.numel} numbers")
            if name not in stored:
                stored[name] = _as_tensor(archive.read(name))
            return stored[name].view(storage.dtype)

        return _Pickle(numbers).read(archive.read(f"{root}data.pkl"))


def _read_legacy(file: IO[bytes], size: int) -> Any:
    """Four pickles (version, system, data, keys of the storages), then the storages in the order of the keys."""
    head, found, place, begins = file.read(MAX_PICKLE), dict[str, Storage](), 0, list[int]()
    scan = _Pickle(lambda storage: found.setdefault(storage.key, storage) and None)
    for _ in range(4):
        begins.append(place)
        keys = scan.read(head[place:])
        place += scan.length
    if not isinstance(keys, list) or {*map(str, keys)} != {*found}:
        raise EOFError("it does not list its weights")
    file.seek(2 + len(_LEGACY) + place)
    stored: dict[str, Tensor] = {}
    for key in map(str, keys):
        length = int.from_bytes(file.read(8), "little") * found[key].dtype.itemsize
        if length > size - file.tell():
            raise EOFError(f"{length:,} bytes of weights are announced, {size - file.tell():,} are there")
        stored[key] = _as_tensor(file.read(length))

    def numbers(storage: Storage) -> Tensor:
        return stored[storage.key].view(storage.dtype)[storage.begin : storage.begin + storage.numel]

    return _Pickle(numbers).read(head[begins[2] :])


def _as_tensor(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)


def _code(name: str) -> _Refused:
    return _Refused(
        f"is more than weights ({listed([name])}): loading it would run code from the file, which pocketgan never does; where "
        "you trust it, load it yourself and save the weights alone by torch.save(net.state_dict(), FILE)"
    )


class _Pickle:
    """Interpreter of pickles. ``numbers`` gives what is in a storage, or None to read everything but tensors."""

    def __init__(self, numbers: Callable[[Storage], Tensor | None]):
        self._numbers = numbers
        self._steps = 0
        self.length = 0
        """Bytes of the latest pickle."""

    def read(self, data: bytes) -> Any:
        """Value of the pickle with which ``data`` begins."""
        try:
            return self._interpret(data)
        except _DAMAGE as error:
            raise EOFError(f"its pickle is none that torch.save writes: {error}") from None

    def _interpret(self, data: bytes) -> Any:
        stack: list[Any] = []
        marks: list[list[Any]] = []
        memo: dict[Any, Any] = {}
        for opcode, argument, place in pickletools.genops(data):
            self._count(1)
            arg: Any = argument
            match opcode.name:
                case "BINPUT" | "LONG_BINPUT":
                    memo[arg] = stack[-1]
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[arg])
                case "MARK":
                    marks.append(stack)
                    stack = []
                case "TUPLE":
                    items, stack = stack, marks.pop()
                    stack.append(tuple(items))
                case "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                    stack[-int(name[-1]) :] = [tuple(stack[-int(name[-1]) :])]
                case "EMPTY_DICT":
                    stack.append({})
                case "EMPTY_LIST":
                    stack.append([])
                case "SETITEM":
                    pair = stack.pop(-2), stack.pop()
                    _fill(stack[-1], [pair])
                case "SETITEMS":
                    items, stack = stack, marks.pop()
                    _fill(stack[-1], zip(items[::2], items[1::2], strict=True))
                case "APPEND":
                    value = stack.pop()
                    stack[-1].append(value)
                case "APPENDS":
                    items, stack = stack, marks.pop()
                    stack[-1].extend(items)
                case "GLOBAL":
                    stack.append(_name(arg.replace(" ", ".")))
                case "STACK_GLOBAL":
                    stack[-2:] = [_name(".".join(stack[-2:]))]
                case "REDUCE" | "NEWOBJ":
                    stack[-2:] = [self._call(*stack[-2:])]
                case "BINPERSID":
                    stack.append(self._numbers(_storage(*stack.pop())))
                case "BUILD":  # attributes of a dict or tensor
                    stack.pop()
                case "STOP":
                    self.length = int(place or 0) + 1
                    return stack.pop()
                case "PROTO" | "FRAME":
                    pass
                case name if name in _CONSTANTS:
                    stack.append(_CONSTANTS[name])
                case _ if isinstance(arg, int | float | str | bytes):
                    stack.append(arg)
                case name:
                    raise ValueError(name)
        raise EOFError("its pickle has no end")

    def _count(self, steps: int) -> None:
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise _Refused(f"has a pickle of more than {MAX_STEPS:,} steps: no network needs that")

    def _call(self, function: Any, args: tuple[Any, ...]) -> Any:
        """Result of a function, where it is a tensor or dict; else None."""
        if not isinstance(function, _Name) or not isinstance(args, tuple):
            raise TypeError(function)
        if function == _FROM_TYPE:  # a tensor with attributes
            function, args = args[0], args[2]
        if function == _ORDERED_DICT:
            made: dict[Any, Any] = {}
            if args:  # Python 2
                self._count(len(args[0]))
                _fill(made, args[0])
            return made
        if _TENSOR.fullmatch(function):
            return _rebuild(*args)
        if _PARAMETER.fullmatch(function):
            return args[0]
        if _OTHER_TENSOR.fullmatch(function):  # an empty one, whose kind is an error where it is used
            layout = torch.sparse_coo if "sparse" in function else torch.strided
            return torch.empty(0, layout=layout, device="cpu" if "sparse" in function else "meta")
        return None


def _name(name: str) -> _Name:
    known = (_TENSOR, _PARAMETER, _OTHER_TENSOR, _STORAGE, _INERT)
    if name not in (_ORDERED_DICT, _FROM_TYPE, *_DTYPES) and not any(pattern.fullmatch(name) for pattern in known):
        raise _code(name)
    return _Name(name)


def _fill(target: dict[Any, Any], items: Iterable[tuple[Any, Any]]) -> None:
    if type(target) is not dict:
        raise TypeError(target)
    for key, value in items:
        if isinstance(key, str | int | float | bytes):  # others name no network, and may take forever to hash
            target[key] = value


def _storage(kind: str, stored: str, key: Any, location: Any, numel: int, view: Any = None) -> Storage:
    match = _STORAGE.fullmatch(stored)
    if kind != "storage" or match is None:
        raise ValueError(kind)
    _, begin, length = view or (key, 0, numel)
    dtype = _DTYPES[f"torch.{_OLD_NAMES.get(match[1], match[1].lower())}"]
    return Storage(str(key), dtype, _natural(length), _natural(begin))


def _rebuild(numbers: Tensor | None, offset: int, size: Any, stride: Any, *options: Any) -> Tensor | None:
    """Tensor of the numbers of a storage. Refuses one that repeats them, or reads others."""
    if numbers is None:
        return None
    if len(options) > 2:
        numbers = numbers.view(_DTYPES.get(options[2], numbers.dtype))
    size, stride = [*map(_natural, size)], [*map(_natural, stride)]
    reach = _natural(offset) + sum((length - 1) * step for length, step in zip(size, stride, strict=True)) + 1
    if max(reach if 0 not in size else 0, math.prod(size)) > len(numbers):
        raise _Refused(f"has a tensor of {math.prod(size):,} numbers in a place of {len(numbers):,}: weights are stored whole")
    return numbers.as_strided(size, stride, offset)


def _natural(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**48:
        raise ValueError(value)
    return value
