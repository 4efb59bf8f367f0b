"""ZIP archives, good and hostile, made byte by byte where no archiver would make them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any


def archive(files: Mapping[Any, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A plain one, by names (one that ends in a slash is a directory) or by ``ZipInfo``."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as target:
        for name, content in files.items():
            target.writestr(name, content)
    return out.getvalue()


def link(name: str) -> zipfile.ZipInfo:
    """The name of a symbolic link, as Unix archivers store one; what it points to is its content."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = 0o120777 << 16
    return info


def encrypted(content: bytes) -> bytes:
    """The first member says that it is encrypted."""
    plain = bytearray(archive({"secret.pdf": content}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        plain[plain.index(signature) + offset] |= 1
    return bytes(plain)


def damaged(content: bytes) -> bytes:
    """A good member, and one whose bytes are not those that its checksum was made of."""
    whole = bytearray(archive({"good.pdf": content, "bad.pdf": content + b" bad"}, zipfile.ZIP_STORED))
    whole[whole.index(b" bad")] ^= 0xFF
    return bytes(whole)


def lying(content: bytes, *, claimed: int) -> bytes:
    """One member that claims another size than it unpacks to."""
    whole = bytearray(archive({"lie.pdf": content}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", whole, whole.index(signature) + offset, claimed)
    return bytes(whole)


def nested(depth: int, width: int, core: bytes) -> bytes:
    """As 42.zip: archives in archives, which unpack to nothing large until all of them are opened."""
    content = archive({"core.pdf": core})
    for _ in range(depth):
        content = archive({f"lib {number}.zip": content for number in range(width)})
    return content


def overlapping(members: int, kernel_bytes: int) -> bytes:
    """As Fifield's bomb of the first kind: every entry of the directory points to the same compressed bytes."""
    kernel = bytes(kernel_bytes)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(kernel) + packer.flush()
    crc = zlib.crc32(kernel)
    name = b"000000.pdf"
    facts = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, crc, len(data), len(kernel), len(name), 0)
    local = b"PK\x03\x04" + facts + name + data
    directory = b"".join(b"PK\x01\x02\x14\x00" + facts + bytes(2 + 2 + 2 + 4 + 4) + name for _ in range(members))
    end = struct.pack("<HHHHIIH", 0, 0, members, members, len(directory), len(local), 0)
    return local + directory + b"PK\x05\x06" + end


def quoting(members: int, kernel_bytes: int) -> bytes:
    """As Fifield's bomb of the second kind: each member quotes the header of the next in a stored block of deflate."""
    kernel = bytes(kernel_bytes)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = packer.compress(kernel) + packer.flush()
    content = kernel
    headers: list[tuple[bytes, bytes]] = []
    body = b""
    for number in reversed(range(members)):
        name = b"%06d.pdf" % number
        if body:  # what follows is quoted, up to the end of the next header
            following = headers[0][0]
            stream = b"\x00" + struct.pack("<HH", len(following), len(following) ^ 0xFFFF) + following + stream
            content = following + content
        crc = zlib.crc32(content)
        facts = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, crc, len(stream), len(content), len(name), 0)
        local = b"PK\x03\x04" + facts + name
        headers.insert(0, (local, facts))
        body = local + stream
    directory, offset = b"", 0
    for number, (local, facts) in enumerate(headers):
        directory += b"PK\x01\x02\x14\x00" + facts + bytes(2 + 2 + 2 + 4) + struct.pack("<I", offset)
        directory += b"%06d.pdf" % number
        offset += len(local) + 5
    end = struct.pack("<HHHHIIH", 0, 0, members, members, len(directory), len(body), 0)
    return body + directory + b"PK\x05\x06" + end
