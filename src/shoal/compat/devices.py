"""Graphics cards, as far as shoal knows them: not at all. Callers are told that there are none.

Serialization of values in device memory is another matter: it is a table that other packages fill,
and that nobody here reads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dask.utils import Dispatch as _UntypedDispatch

__all__ = [
    "CudaContext",
    "CudaDeviceInfo",
    "cuda_deserialize",
    "cuda_serialize",
    "device_get_count",
    "get_device_index_and_uuid",
    "get_device_mig_mode",
    "has_cuda_context",
]

_Dispatch: Any = _UntypedDispatch  # dask is not annotated

cuda_serialize: Any = _Dispatch("cuda_serialize")
cuda_deserialize: Any = _Dispatch("cuda_deserialize")


class CudaDeviceInfo(NamedTuple):
    """Which device it is.

    Attributes
    ----------
    uuid : bytes, optional
        Its name for life.
    device_index : int, optional
        Its number on this host.
    mig_index : int, optional
        The number of the part of it, where it is divided.
    """

    uuid: bytes | None = None
    device_index: int | None = None
    mig_index: int | None = None


class CudaContext(NamedTuple):
    """Whether this process uses a device, and which."""

    has_context: bool = False
    device_info: CudaDeviceInfo | None = None


def device_get_count() -> int:
    """Return the number of devices that shoal uses: 0."""
    return 0


def has_cuda_context() -> CudaContext:
    """Return that this process uses no device."""
    return CudaContext()


def get_device_index_and_uuid(device: int | str | bytes) -> CudaDeviceInfo:
    """Raise: there is no device to tell of.

    Raises
    ------
    RuntimeError
        Always.
    """
    raise _no_device(device)


def get_device_mig_mode(device: int | str | bytes) -> list[int]:
    """Raise: there is no device to tell of.

    Raises
    ------
    RuntimeError
        Always.
    """
    raise _no_device(device)


def _no_device(device: object) -> RuntimeError:
    return RuntimeError(f"no device {device!r}: shoal does not manage graphics cards")
