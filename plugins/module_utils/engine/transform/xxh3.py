# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""XXH3 with 128 bits and seed 0: the digest of blocks (repository reference, section 13.2).

The system's libxxhash computes it where it is there. Else numpy does, over many blocks at once;
what is so short that the algorithm treats it apart goes through plain Python. Names follow the
xxHash specification ("XXH3 Algorithm"), constants included.
"""

from __future__ import annotations

import struct
import typing as t

from .. import dependency

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .compression import Buffer

# Results before this release of libxxhash were others.
_FIRST_STABLE = 800

_MASK = (1 << 64) - 1
_PRIME32_1, _PRIME32_2, _PRIME32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
_PRIME64_1, _PRIME64_2, _PRIME64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_PRIME64_4, _PRIME64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_PRIME_MX1, _PRIME_MX2 = 0x165667919E3779F9, 0x9FB21C651E98DF25

_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)

_LANES = (
    *(_PRIME32_3, _PRIME64_1, _PRIME64_2, _PRIME64_3),
    *(_PRIME64_4, _PRIME32_2, _PRIME64_5, _PRIME32_1),
)

# The longest input that has a way of its own, and the units of all longer ones.
_SHORT = 240
_STRIPE = 64
_ROUND = 1024

_Digests = t.Callable[[bytes, int], list[bytes]]


class Digester:
    """Digests of blocks, with the best that this system has."""

    def __init__(self, library: t.Any = None) -> None:
        self._digests: _Digests = portable if library is None else _Native(library)

    @classmethod
    def best(cls) -> Digester:
        """With libxxhash where it is there."""
        library = dependency.xxhash()
        usable = library is not None and library.XXH_versionNumber() >= _FIRST_STABLE
        return cls(library if usable else None)

    def __call__(self, data: Buffer, block_size: int) -> list[bytes]:
        """16 bytes for each block of ``data``; the last block may be shorter than the others."""
        return self._digests(bytes(data), block_size)


class _Native:
    """libxxhash."""

    def __init__(self, library: t.Any) -> None:
        import ctypes

        class _Hash(ctypes.Structure):
            """XXH128_hash_t."""

            _fields_ = (("low", ctypes.c_uint64), ("high", ctypes.c_uint64))

        self._address = ctypes.c_char_p, ctypes.c_void_p, ctypes.cast
        self._hash = library.XXH3_128bits
        self._hash.restype = _Hash
        self._hash.argtypes = (ctypes.c_void_p, ctypes.c_size_t)

    def __call__(self, data: bytes, block_size: int) -> list[bytes]:
        text, pointer, cast = self._address
        start = cast(text(data), pointer).value or 0
        result = []
        for offset in range(0, len(data), block_size):
            found = self._hash(start + offset, min(block_size, len(data) - offset))
            result.append(_canonical(found.low, found.high))
        return result


def portable(data: bytes, block_size: int) -> list[bytes]:
    """The same without libxxhash."""
    count, rest = divmod(len(data), block_size)
    result: list[bytes] = []
    if block_size <= _SHORT:
        result += [_short(data[n * block_size : (n + 1) * block_size]) for n in range(count)]
    elif count:
        result += _long(data[: count * block_size], count)
    if rest:
        last = data[count * block_size :]
        result += [_short(last)] if rest <= _SHORT else _long(last, 1)
    return result


def _canonical(low: int, high: int) -> bytes:
    return struct.pack(">QQ", high, low)


# --- more than 240 bytes: numpy, all blocks of a batch side by side ---------------------------


def _long(data: bytes, count: int) -> Iterator[bytes]:
    """Digests of ``count`` blocks of one size."""
    np = dependency.numpy()
    size = len(data) // count
    blocks = np.frombuffer(data, dtype=np.uint8).reshape(count, size)
    lanes = np.array([_LANES] * count, dtype=np.uint64)
    keys = np.array([_words(8 * stripe, 8) for stripe in range(16)], dtype=np.uint64)
    scramble = np.array(_words(len(_SECRET) - _STRIPE, 8), dtype=np.uint64)
    rounds = (size - 1) // _ROUND
    for number in range(rounds):
        _accumulate(np, lanes, blocks[:, number * _ROUND : (number + 1) * _ROUND], keys)
        lanes ^= lanes >> np.uint64(47)
        lanes ^= scramble
        lanes *= np.uint64(_PRIME32_1)
    stripes = (size - 1 - rounds * _ROUND) // _STRIPE
    if stripes:
        start = rounds * _ROUND
        _accumulate(np, lanes, blocks[:, start : start + stripes * _STRIPE], keys[:stripes])
    last = np.array([_words(len(_SECRET) - _STRIPE - 7, 8)], dtype=np.uint64)
    _accumulate(np, lanes, blocks[:, size - _STRIPE :], last)
    for row in lanes.tolist():
        low = _merge(row, 11, size * _PRIME64_1)
        yield _canonical(low, _merge(row, len(_SECRET) - _STRIPE - 11, ~(size * _PRIME64_2)))


def _accumulate(np: t.Any, lanes: t.Any, piece: t.Any, keys: t.Any) -> None:
    """Add the stripes of a piece of every block. Sums wrap, so their order is of no importance."""
    stripes = np.ascontiguousarray(piece).view("<u8").reshape(len(lanes), -1, 8)
    mixed = stripes ^ keys
    # Each word goes to its neighbour's lane as it is, and to its own as a product.
    lanes += stripes.sum(axis=1, dtype=np.uint64)[:, [1, 0, 3, 2, 5, 4, 7, 6]]
    low = mixed & np.uint64(0xFFFFFFFF)
    mixed >>= np.uint64(32)
    mixed *= low
    lanes += mixed.sum(axis=1, dtype=np.uint64)


def _merge(lanes: list[int], offset: int, start: int) -> int:
    keys = _words(offset, 8)
    for index in range(0, 8, 2):
        start += _fold(lanes[index] ^ keys[index], lanes[index + 1] ^ keys[index + 1])
    return _avalanche(start & _MASK)


# --- up to 240 bytes --------------------------------------------------------------------------


def _short(data: bytes) -> bytes:
    size = len(data)
    if size > 128:
        return _129_to_240(data)
    if size > 16:
        return _17_to_128(data)
    if size > 8:
        return _9_to_16(data)
    if size > 3:
        return _4_to_8(data)
    return _1_to_3(data)


def _1_to_3(data: bytes) -> bytes:
    size = len(data)
    low = data[0] << 16 | data[size >> 1] << 24 | data[-1] | size << 8
    high = int.from_bytes(low.to_bytes(4, "little"), "big")
    high = (high << 13 | high >> 19) & 0xFFFFFFFF
    key = struct.unpack_from("<4L", _SECRET)
    return _canonical(_avalanche64(low ^ key[0] ^ key[1]), _avalanche64(high ^ key[2] ^ key[3]))


def _4_to_8(data: bytes) -> bytes:
    key = _words(16, 2)
    both = int.from_bytes(data[:4], "little") | int.from_bytes(data[-4:], "little") << 32
    product = (both ^ key[0] ^ key[1]) * (_PRIME64_1 + (len(data) << 2))
    low, high = product & _MASK, product >> 64
    high = (high + (low << 1)) & _MASK
    low ^= high >> 3
    low ^= low >> 35
    low = low * _PRIME_MX2 & _MASK
    low ^= low >> 28
    return _canonical(low, _avalanche(high))


def _9_to_16(data: bytes) -> bytes:
    key = _words(32, 4)
    first, last = int.from_bytes(data[:8], "little"), int.from_bytes(data[-8:], "little")
    product = (first ^ last ^ key[0] ^ key[1]) * _PRIME64_1
    low = ((product & _MASK) + ((len(data) - 1) << 54)) & _MASK
    last ^= key[2] ^ key[3]
    high = ((product >> 64) + last + (last & 0xFFFFFFFF) * (_PRIME32_2 - 1)) & _MASK
    low ^= int.from_bytes(high.to_bytes(8, "little"), "big")
    product = low * _PRIME64_2
    high = ((product >> 64) + high * _PRIME64_2) & _MASK
    return _canonical(_avalanche(product & _MASK), _avalanche(high))


def _17_to_128(data: bytes) -> bytes:
    size = len(data)
    pair = (size * _PRIME64_1 & _MASK, 0)
    for index in range((size - 1) // 32, -1, -1):
        pair = _mix(pair, data, index * 16, size - 16 * (index + 1), 32 * index)
    return _end(pair, size)


def _129_to_240(data: bytes) -> bytes:
    size = len(data)
    pair = (size * _PRIME64_1 & _MASK, 0)
    for start in range(0, 128, 32):
        pair = _mix(pair, data, start, start + 16, start)
    pair = (_avalanche(pair[0]), _avalanche(pair[1]))
    for start in range(128, size - 31, 32):
        pair = _mix(pair, data, start, start + 16, start - 128 + 3)
    pair = _mix(pair, data, size - 16, size - 32, 136 - 17 - 16)
    return _end(pair, size)


def _mix(pair: tuple[int, int], data: bytes, one: int, two: int, offset: int) -> tuple[int, int]:
    """XXH128_mix32B: 16 bytes at ``one`` and 16 at ``two``, with the secret at ``offset``."""
    a, b = struct.unpack_from("<2Q", data, one)
    c, d = struct.unpack_from("<2Q", data, two)
    key = _words(offset, 4)
    low = (pair[0] + _fold(a ^ key[0], b ^ key[1])) & _MASK ^ (c + d) & _MASK
    high = (pair[1] + _fold(c ^ key[2], d ^ key[3])) & _MASK ^ (a + b) & _MASK
    return low, high


def _end(pair: tuple[int, int], size: int) -> bytes:
    low, high = pair
    mixed = low * _PRIME64_1 + high * _PRIME64_4 + size * _PRIME64_2
    return _canonical(_avalanche((low + high) & _MASK), -_avalanche(mixed & _MASK) & _MASK)


# --- arithmetic -------------------------------------------------------------------------------


def _words(offset: int, count: int) -> tuple[int, ...]:
    """Numbers of 64 bits of the secret."""
    return struct.unpack_from(f"<{count}Q", _SECRET, offset)


def _fold(one: int, two: int) -> int:
    product = one * two
    return product & _MASK ^ product >> 64


def _avalanche(value: int) -> int:
    value ^= value >> 37
    value = value * _PRIME_MX1 & _MASK
    return value ^ value >> 32


def _avalanche64(value: int) -> int:
    """XXH64_avalanche."""
    value ^= value >> 33
    value = value * _PRIME64_2 & _MASK
    value ^= value >> 29
    value = value * _PRIME64_3 & _MASK
    return value ^ value >> 32
