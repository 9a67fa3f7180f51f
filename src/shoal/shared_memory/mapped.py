"""Mapped memory beyond Python's `mmap`: mappings at an address and without another descriptor, and
copies between addresses that let other threads run.

Linux only. Addresses are whole numbers, and nothing here checks them: callers know what they own.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from functools import cache

__all__ = ["copy_into", "map_for_writing", "map_over", "populate", "unmap"]

_MAP_NORESERVE = 0x4000  # not in the module mmap
_MAP_FIXED = 0x10
_MADV_POPULATE_READ = 22
_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE


class _Buffer(ctypes.Structure):
    """`Py_buffer`, which the stable interface of CPython fixes."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    address, size, integer = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    libc.mmap.restype = address
    libc.mmap.argtypes = [address, size, integer, integer, integer, ctypes.c_int64]
    libc.munmap.argtypes = [address, size]
    libc.madvise.argtypes = [address, size, integer]
    return libc


@cache
def _python() -> ctypes.PyDLL:
    python = ctypes.pythonapi
    buffer = ctypes.POINTER(_Buffer)
    python.PyObject_GetBuffer.argtypes = [ctypes.py_object, buffer, ctypes.c_int]
    python.PyBuffer_Release.argtypes = [buffer]
    python.PyBuffer_Release.restype = None
    return python


def map_for_writing(descriptor: int, length: int) -> int:
    """Map the beginning of a file, shared with all that map it; return the address.

    Forked children do not inherit it.

    Raises
    ------
    OSError
        When that is not possible.
    """
    address = _map(0, length, mmap.MAP_SHARED, descriptor, 0)
    if _libc().madvise(address, length, mmap.MADV_DONTFORK):
        number = ctypes.get_errno()
        unmap(address, length)
        raise OSError(number, f"cannot keep memory from children: {os.strerror(number)}")
    return address


def map_over(address: int, length: int, descriptor: int, offset: int) -> None:
    """Map a part of a file, copy-on-write, in place of what is mapped at an address.

    Raises
    ------
    OSError
        When that is not possible.
    """
    if length:
        _map(address, length, mmap.MAP_PRIVATE | _MAP_FIXED | _MAP_NORESERVE, descriptor, offset)


def _map(address: int, length: int, flags: int, descriptor: int, offset: int) -> int:
    found = _libc().mmap(address, length, _READ_WRITE, flags, descriptor, offset)
    if found is None or found == ctypes.c_void_p(-1).value:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot map shared memory: {os.strerror(number)}")
    return int(found)


def unmap(address: int, length: int) -> None:
    """Take away what is mapped there."""
    _libc().munmap(address, length)


def populate(address: int, length: int) -> None:
    """Have pages that exist at hand, a third of the work of meeting them one after another.

    Before Linux 5.14 that is not to be had, and they are met one after another.
    """
    _libc().madvise(address, length, _MADV_POPULATE_READ)


def copy_into(address: int, data: memoryview) -> None:
    """Copy bytes to an address. Other threads run meanwhile, as they do not for a slice of it."""
    buffer = _Buffer()
    _python().PyObject_GetBuffer(data, ctypes.byref(buffer), 0)
    try:
        ctypes.memmove(address, buffer.buf, data.nbytes)
    finally:
        _python().PyBuffer_Release(ctypes.byref(buffer))
