"""Damaged and hostile inputs of `benchmarks/faults.py`: functions of valid files and a random generator."""

from __future__ import annotations

import copy
import io
import json
import pickle
import pickletools
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 3, 2**31, 2**63, 2**64, -(2**70), 1e308, -1e-300, 0.5, float("nan"), float("inf")),
    *("", " ", "x", "0", "nan", "../../x", "\x00", "[red]bold[/]", "\\[", "\udcff", "a" * 5000, "𝔘\u202e"),
    *([], {}, [[]], [None], {"": 0}, [1, 2, 3], ["a"], {"a": {"b": {"c": 1}}}),
)
HOSTILE_NAMES = ("a\\[b", "[bold]x[/bold]", ":smile:", "a\nb", "x\x1b[31m", "𝔘", "ü", "-x", "--out", "%s{}", "'\"", "<b>")


def damaged(data: bytes, rng: random.Random) -> bytes:
    """``data`` with one to four faults: bits, cuts, gaps, repeats, foreign bytes, integers at their limits."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place = rng.randrange(len(out) + 1) if rng.random() < 0.6 else rng.randrange(min(len(out), 512) + 1)
        length = min(2 ** rng.randrange(12), len(out) - place)
        fault = rng.randrange(8)
        if fault == 0 and place < len(out):
            out[place] ^= 1 << rng.randrange(8)
        elif fault == 1:
            del out[place:]
        elif fault == 2:
            del out[place : place + length]
        elif fault == 3:
            out[place : place + length] = bytes(length)
        elif fault == 4:
            out[place:place] = out[place : place + length]
        elif fault == 5:
            out[place : place + length] = rng.randbytes(length)
        elif fault == 6:
            limit = rng.choice((0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1))
            width = rng.choice([width for width in (1, 2, 4, 8) if limit < 256**width])
            out[place : place + width] = limit.to_bytes(width, rng.choice(("little", "big")))
        else:
            out += rng.randbytes(rng.randrange(1, 64))
    return bytes(out)


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every value inside JSON data."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in items for place in places(value, (*path, key)))]


def twisted(data: Any, rng: random.Random) -> Any:
    """JSON ``data`` with one value replaced, deleted, renamed, wrapped or added."""
    data = copy.deepcopy(data)
    path = rng.choice(places(data)[1:] or [()])
    value = rng.choice(ODD_VALUES)
    if not path or rng.random() < 0.03:
        return value
    *parents, key = path
    inner = data
    for parent in parents:
        inner = inner[parent]
    how = rng.randrange(6)
    if how <= 2 or isinstance(inner, list):
        inner[key] = value
    elif how == 3:
        del inner[key]
    elif how == 4:
        inner[rng.choice(HOSTILE_NAMES)] = inner.pop(key)
    else:
        inner[key] = [inner[key]]
    return data


def twisted_text(data: Any, rng: random.Random) -> bytes:
    """JSON text of ``data``, twisted; sometimes text that no JSON library should follow to its end."""
    extreme = rng.randrange(16)
    if extreme == 0:
        return b"[" * rng.choice((100, 2_000, 200_000)) + rng.choice((b"", b"]" * 2_000))
    if extreme == 1:
        return b'{"a":' * 3_000 + b"1" + b"}" * 3_000
    if extreme == 2:
        return b'{"size": ' + b"9" * 5_000 + b"}"
    if extreme == 3:
        return damaged(json.dumps(data).encode(), rng)
    return json.dumps(twisted(data, rng)).encode(errors="surrogatepass")


def _scaled(value: float) -> Callable[[Tensor, random.Random], Tensor]:
    def spoil(tensor: Tensor, rng: random.Random) -> Tensor:
        out = tensor.clone().flatten()
        out[rng.randrange(out.numel())] = value
        return out.reshape(tensor.shape)

    return spoil


SPOILED: Mapping[str, Callable[[Tensor, random.Random], Tensor]] = {
    "nan": _scaled(float("nan")),
    "all nan": lambda tensor, _: torch.full_like(tensor, float("nan")),
    "infinite": _scaled(float("-inf")),
    "bool": lambda tensor, _: tensor > 0,
    "int": lambda tensor, _: tensor.mul(100).to(torch.int64),
    "uint8": lambda tensor, _: tensor.mul(100).to(torch.uint8),
    "complex": lambda tensor, _: tensor.to(torch.complex64),
    "float8": lambda tensor, _: tensor.to(torch.float8_e4m3fn),
    "flat": lambda tensor, _: torch.cat([tensor.flatten(), tensor.flatten()[:1]]),
    "one axis more": lambda tensor, _: tensor[None].repeat(2, *[1] * tensor.dim()),
    "empty": lambda tensor, _: tensor[:0],
    "number": lambda tensor, _: tensor.flatten()[0].clone(),
    "cut": lambda tensor, _: tensor[: max(len(tensor) - 1, 0)],
}
"""Tensors of a kind, shape or value that no weight of a generator has."""
PICKLED_ONLY: Mapping[str, Callable[[Tensor, random.Random], Any]] = {
    "expanded": lambda tensor, _: torch.zeros(1).expand(2**40),
    "meta": lambda tensor, _: torch.empty(tensor.shape, device="meta"),
    "sparse": lambda tensor, _: tensor.reshape(tensor.shape[0], -1).to_sparse(),
    "list": lambda tensor, _: tensor.flatten()[:8].tolist(),
    "text": lambda tensor, _: "x",
    "nothing": lambda tensor, _: None,
}
"""Values that ``torch.save`` can write and safetensors cannot."""


def spoiled_state(state: Mapping[str, Tensor], rng: random.Random, *, pickled: bool) -> tuple[dict[str, Any], str]:
    """State dict that no loader may accept, and what is wrong with it."""
    out = dict(state)
    weights = [name for name, tensor in state.items() if tensor.is_floating_point() and tensor.dim()]
    name = rng.choice(weights)
    kinds: dict[str, Callable[[Tensor, random.Random], Any]] = {**SPOILED, **(PICKLED_ONLY if pickled else {})}
    what = rng.choice([*kinds, "missing", "extra", "renamed", "swapped"])
    if what == "missing":
        del out[name]
    elif what == "extra":
        out[f"{name}.{rng.choice(HOSTILE_NAMES)}"] = torch.zeros(3)
    elif what == "renamed":
        out[name + rng.choice(HOSTILE_NAMES)] = out.pop(name)
    elif what == "swapped":
        other = rng.choice([other for other in weights if state[other].shape != state[name].shape])
        out[name], out[other] = state[other], state[name]
    else:
        out[name] = kinds[what](state[name], rng)
    return out, what


def saved(state: Mapping[str, Any], rng: random.Random) -> bytes:
    """``torch.save`` of a state dict, in one of its two formats."""
    buffer = io.BytesIO()
    torch.save(dict(state), buffer, _use_new_zipfile_serialization=rng.random() < 0.7)
    return buffer.getvalue()


def pickle_attack(data: bytes, rng: random.Random) -> bytes:
    """A checkpoint (zip format) whose pickle or directory of entries was rewritten."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    name = next(entry for entry in entries if entry.endswith("data.pkl"))
    attack = rng.randrange(8)
    if attack == 0:
        entries[name] = damaged(entries[name], rng)
    elif attack == 1:
        entries[name] = b"cos\nsystem\n(S'touch pwned'\ntR."
    elif attack == 2:  # each level holds the one before twice
        entries[name] = b"\x80\x02]" + b"".join(b"q%c](h%ch%ce" % (i, i, i) for i in range(60)) + b"."
    elif attack == 3:
        entries[name] = b"\x80\x02" + b"]" * 300_000 + b"a" * 299_999 + b"."
    elif attack == 4:
        entries[name] = b"\x80\x02" + b"\x8a\xff" + b"\xff" * 255 + b"r" + struct.pack("<I", 2**31 - 1) + b"."
    elif attack == 5:
        opcodes = [code.code.encode("latin1") for code in pickletools.opcodes]
        place = rng.randrange(len(entries[name]))
        entries[name] = entries[name][:place] + rng.choice(opcodes) + entries[name][place + rng.randrange(2) :]
    elif attack == 6:
        victim = rng.choice(list(entries))
        entries[victim] = bytes(rng.choice((0, 2**26))) if rng.random() < 0.5 else entries[victim][: rng.randrange(64)]
    else:
        entries[rng.choice(HOSTILE_NAMES)] = entries.pop(rng.choice(list(entries)))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for entry, content in entries.items():
            archive.writestr(entry, content)
    return damaged(buffer.getvalue(), rng) if rng.random() < 0.2 else buffer.getvalue()


def bare_pickle(rng: random.Random) -> bytes:
    """A pickle that is no checkpoint."""
    return rng.choice((pickle.dumps({"a": list(range(1000))}), pickle.dumps(3), b"\x80\x02.", b"\x80\x05\x95" + b"\xff" * 8))


def split_artifact(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and tensors of a safetensors file."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined_artifact(header: bytes, tensors: bytes) -> bytes:
    """The safetensors file of a header and tensors, which need not fit."""
    return struct.pack("<Q", len(header)) + header + tensors


def header_attack(data: bytes, rng: random.Random) -> bytes:
    """An artifact whose header, that of safetensors or ours inside it, was twisted."""
    header, tensors = split_artifact(data)
    if rng.random() < 0.25:
        return joined_artifact(twisted_text(header, rng), tensors)
    ours = json.loads(header["__metadata__"]["pocketgan"])
    header["__metadata__"]["pocketgan"] = twisted_text(ours, rng).decode(errors="replace")
    return joined_artifact(json.dumps(header).encode(), tensors)


def artifact_of(state: Mapping[str, Tensor], data: bytes) -> bytes:
    """The artifact ``data`` with other tensors."""
    header = split_artifact(data)[0]["__metadata__"]
    return save({name: tensor.contiguous() for name, tensor in state.items()}, metadata=header)


FORMATS = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "tif": "TIFF", "bmp": "BMP", "gif": "GIF", "ppm": "PPM", "tga": "TGA"}
MODES = ("RGB", "L", "P", "RGBA", "LA", "1", "CMYK", "I;16", "I", "F")


def image_bytes(rng: random.Random, ending: str) -> bytes:
    """A valid image of some mode and size, as its format can hold it."""
    mode, size = rng.choice(MODES), rng.choice(((16, 16), (17, 9), (1, 1), (64, 3), (0x300, 1)))
    buffer = io.BytesIO()
    image = Image.frombytes("RGB", size, rng.randbytes(size[0] * size[1] * 3))
    try:
        image.convert(mode).save(buffer, FORMATS[ending], **({"exif": rng.randbytes(40)} if ending == "jpg" else {}))
    except (OSError, ValueError, KeyError):
        buffer = io.BytesIO()
        image.save(buffer, FORMATS[ending])
    return buffer.getvalue()


def hostile_image(rng: random.Random) -> bytes:
    """A file named as an image that is something else, or claims more than it holds."""
    png = image_bytes(rng, "png")
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n{} loop\n"
    huge = png[:16] + struct.pack(">II", rng.choice((60_000, 2**31 - 1, 0)), rng.choice((60_000, 2**31 - 1, 0))) + png[24:]
    svg = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
    wmf = b"\xd7\xcd\xc6\x9a\x00\x00" + bytes(8) + b"\x48\x00" + bytes(64)
    others = (eps, b"\x89PNG\r\n\x1a\n", b"", b"GIF89a", svg, b"%PDF-1.4\n", wmf, b"\x0a\x05\x01\x08" + bytes(200), huge)
    return _bomb() if rng.random() < 0.02 else rng.choice(others)


@cache
def _bomb() -> bytes:
    """Image of 400 million pixels in 50 kilobytes."""
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    return buffer.getvalue()


def hostile_archive(rng: random.Random) -> tuple[bytes, str]:
    """A zip or tar file with hostile names, links, devices, sizes or damage, and its ending."""
    names = (
        "../up.png",
        "/tmp/absolute.png",
        "a/../../up.png",
        "C:\\x.png",
        "a\\..\\..\\x",
        "x" * 300,
        "ok/1.png",
        "",
        ".",
        "a/b/c",
    )
    picked = [rng.choice(names) for _ in range(rng.randrange(1, 5))]
    content = rng.choice((b"x", bytes(10**6), rng.randbytes(1000)))
    buffer = io.BytesIO()
    if rng.random() < 0.5:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in picked:
                info = zipfile.ZipInfo(name or "e")
                if rng.random() < 0.2:
                    info.external_attr = rng.choice((0o120777, 0o020666, 0o010666)) << 16
                archive.writestr(info, content)
        ending = ".zip"
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for name in picked:
                member = tarfile.TarInfo(name)
                member.type = rng.choice((*[tarfile.REGTYPE] * 4, *tarfile.SUPPORTED_TYPES[1:7]))
                member.linkname = rng.choice(("/etc/passwd", "../../x", "ok/1.png"))
                member.size = len(content) if member.isreg() else 0
                tar.addfile(member, io.BytesIO(content))
        ending = ".tar.gz"
    data = buffer.getvalue()
    return (damaged(data, rng) if rng.random() < 0.4 else data), ending
