"""Compression of large frames between hosts: sampled first, done only where it pays.

Both sides agree on a codec in the handshake, and on none where both are on one host and nobody
asked for a certain one: memory is faster than any codec. With compression on, each batch has one
more frame at its front: a byte per frame that says whether it is compressed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from typing import Any

from shoal import config
from shoal.errors import ProtocolError
from shoal.wire.blob import BytesLike

__all__ = [
    "SAME_HOST",
    "available_compressions",
    "compress_frames",
    "decompress_frames",
    "offered_compressions",
]

# Smaller frames are not looked at.
_MIN_SIZE = 10_000
_MAX_SIZE = 0x7E000000  # bytes; LZ4 takes no more, larger ones go as they are
# A compressed sample must be smaller than this part of itself, or the frame is left alone.
_PAYS = 0.7
_SAMPLE = 10_000
_SAMPLES = 5
_TOO_LARGE = "a compressed frame that expands beyond 'shoal.comm.max-message'"
_MODULES = {"lz4": "lz4", "zstd": "zstandard", "zlib": "zlib"}


def available_compressions() -> list[str]:
    """Return the codecs this process may use, best first; ``distributed.comm.compression`` says."""
    wanted = config.get("distributed.comm.compression")
    if wanted in (False, None, "none", "false"):
        return []
    installed = [name for name in ("lz4", "zstd") if _is_installed(name)]
    if wanted == "auto":
        return installed
    if wanted not in _MODULES:
        raise ValueError(
            f"configuration 'distributed.comm.compression' is {wanted!r}; "
            "it must be 'auto', 'lz4', 'zstd', 'zlib' or false"
        )
    if not _is_installed(wanted):
        raise ValueError(
            f"configuration 'distributed.comm.compression' is {wanted!r}, which is not installed; "
            "run 'pip install shoal[compression]'"
        )
    return [wanted]


SAME_HOST = "same-host:"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def offered_compressions() -> list[str]:
    """Return what to say in handshakes: the codecs, and before them which host this is.

    Addresses do not tell: a tunnel's end is on this host, and its other end may be far.
    """
    found = available_compressions()
    if found and config.get("distributed.comm.compression") == "auto" and _host():
        return [SAME_HOST + _host(), *found]
    return found


@cache
def _host() -> str:
    try:
        with open(_BOOT_ID, "rb") as file:
            return blake2b(file.read(), digest_size=8).hexdigest()
    except OSError:
        return ""


@cache
def _is_installed(name: str) -> bool:
    return find_spec(_MODULES[name]) is not None


@cache
def _codec(name: str) -> tuple[Callable[[Any], bytes], Callable[[Any, int], bytes | bytearray]]:
    if name == "lz4":
        import lz4.block

        def expand_lz4(data: Any, limit: int) -> bytes:
            if int.from_bytes(data[:4], "little") > limit:
                raise ProtocolError(_TOO_LARGE)
            return lz4.block.decompress(data, return_bytearray=True)  # type: ignore[no-any-return]

        return lz4.block.compress, expand_lz4
    if name == "zlib":
        return _zlib()
    import zstandard

    level = config.get_int("distributed.comm.zstd.level")
    threads = config.get_int("distributed.comm.zstd.threads")

    def shrink_zstd(data: Any) -> bytes:
        return zstandard.ZstdCompressor(level=level, threads=threads).compress(data)

    def expand_zstd(data: Any, limit: int) -> bytearray:
        if zstandard.frame_content_size(data) > limit:
            raise ProtocolError(_TOO_LARGE)
        return bytearray(zstandard.ZstdDecompressor().decompress(data))

    return shrink_zstd, expand_zstd


def _zlib() -> tuple[Callable[[Any], bytes], Callable[[Any, int], bytes | bytearray]]:
    import zlib

    def expand(data: Any, limit: int) -> bytes | bytearray:
        expander = zlib.decompressobj()
        expanded = expander.decompress(data, limit)
        if expander.unconsumed_tail:
            raise ProtocolError(_TOO_LARGE)
        return bytearray(expanded)

    return zlib.compress, expand


def compress_frames(frames: list[BytesLike], name: str) -> list[BytesLike]:
    """Return the frames with those compressed that are worth it, and the flags in front."""
    shrink, _ = _codec(name)
    flags = bytearray(len(frames))
    out: list[BytesLike] = [flags]
    for i, frame in enumerate(frames):
        view = memoryview(frame).cast("B")
        if _MIN_SIZE <= len(view) <= _MAX_SIZE and _pays(view, shrink):
            small = shrink(view)
            if len(small) < _PAYS * len(view):
                flags[i] = 1
                out.append(small)
                continue
        out.append(frame)
    return out


def _pays(view: memoryview, shrink: Callable[[Any], bytes]) -> bool:
    step = max(1, len(view) // _SAMPLES)
    size = max(1, min(_SAMPLE, step))
    sample = b"".join(view[i * step : i * step + size] for i in range(_SAMPLES))
    return len(shrink(sample)) < _PAYS * len(sample)


def decompress_frames(frames: list[BytesLike], name: str, limit: int) -> list[BytesLike]:
    """Return the frames as they were before `compress_frames`.

    Raises
    ------
    ProtocolError
        When one would become larger than `limit` bytes, or is damaged.
    """
    flags, *rest = frames
    if len(flags) != len(rest):
        raise ProtocolError("a compressed message without its flags")
    _, expand = _codec(name)
    try:
        return [expand(f, limit) if flag else f for flag, f in zip(flags, rest, strict=True)]
    except ProtocolError:
        raise
    except Exception as error:  # each library has its own
        raise ProtocolError(f"a frame that cannot be decompressed: {error}") from error
