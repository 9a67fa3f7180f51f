"""Large values between processes of one host: written once into memory without a name, mapped by
every reader; used again when nobody maps it any more.

Here are the memory, the check that two processes can share it, and what stands for it in a message.
Owners of values know which are worth sharing, and for how long. Linux only: elsewhere
`host_identity` is None, and everything goes over sockets.
"""

from shoal.shared_memory.blob import SharedBlob, borrow
from shoal.shared_memory.host import host_identity, share_from
from shoal.shared_memory.lending import Lender, lending
from shoal.shared_memory.pool import Pool, make_pool, tend

__all__ = [
    "Lender",
    "Pool",
    "SharedBlob",
    "borrow",
    "host_identity",
    "lending",
    "make_pool",
    "share_from",
    "tend",
]
