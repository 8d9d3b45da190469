"""A reader of the store, written from doc/storage.md and from nothing else.

It shares no code with the server, so that the two can be held against each
other.  What is damaged it does not mend: it stops with BadStore.
"""
import os
import re
import struct

SEGMENT_MAGIC, BATCH_MAGIC, RECORD_MAGIC = 0x47534E52, 0x48424E52, 0x43524E52
ARTICLE, CANCEL, GROUP, EXPIRE, REMEMBER = 1, 2, 3, 5, 6
SUBMISSION, TRUNC, SNAPSHOT = 7, 8, 9
BATCHES_AT = 4096
SEGMENT_HEAD = struct.Struct("<4I2Qq2I")
BATCH_HEAD = struct.Struct("<2I2Q6I")
RECORD_HEAD = struct.Struct("<2I2HIQq16s10I")
PLACE = struct.Struct("<2IQ")
EXPIRE_HEAD = struct.Struct("<2Iq")
RANGE = struct.Struct("<2I4Q")
EXPIRED = struct.Struct("<Q16s")
REMEMBERED = struct.Struct("<16sQq2I")
GROUP_HEAD = struct.Struct("<IB3xI2HI4xq2Q")
NUMBER_MASK = (1 << 64) - 1


class BadStore(Exception):
    """The octets are not what doc/storage.md says."""


# --- sums and hashes ---

def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = _crc_table()


def crc32c(octets, begun=0):
    """The sum of octets, going on from that of others."""
    crc = begun ^ 0xFFFFFFFF
    table = CRC_TABLE
    for octet in octets:
        crc = table[(crc ^ octet) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _rotate(value, bits):
    return (value << bits | value >> 64 - bits) & NUMBER_MASK


def _rounds(v, count):
    for _ in range(count):
        v[0] = v[0] + v[1] & NUMBER_MASK
        v[1] = _rotate(v[1], 13) ^ v[0]
        v[0] = _rotate(v[0], 32)
        v[2] = v[2] + v[3] & NUMBER_MASK
        v[3] = _rotate(v[3], 16) ^ v[2]
        v[0] = v[0] + v[3] & NUMBER_MASK
        v[3] = _rotate(v[3], 21) ^ v[0]
        v[2] = v[2] + v[1] & NUMBER_MASK
        v[1] = _rotate(v[1], 17) ^ v[2]
        v[2] = _rotate(v[2], 32)


def siphash(key, octets):
    """SipHash-2-4 with 128 bits."""
    k0, k1 = struct.unpack("<2Q", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE,
         k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]
    tail = len(octets) % 8
    padded = octets + bytes(7 - tail) + bytes([len(octets) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xEE
    _rounds(v, 4)
    first = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    _rounds(v, 4)
    return struct.pack("<2Q", first, v[0] ^ v[1] ^ v[2] ^ v[3])


# --- records ---

class Record:
    """One record: its place and what its head, meta and payload say."""

    def __init__(self, segment, offset, octets):
        head = octets[offset:offset + RECORD_HEAD.size]
        (magic, self.octets, self.type, _, self.storage_class, self.sequence,
         self.arrival, self.hash, meta_octets, payload_octets,
         self.head_octets, self.body_offset, self.lines, self.bytes,
         self.body_crc, self.peer, payload_crc, crc) = RECORD_HEAD.unpack(head)
        self.segment, self.offset = segment, offset
        meta_at = offset + RECORD_HEAD.size
        meta = octets[meta_at:meta_at + meta_octets]
        payload_at = meta_at + meta_octets
        self.payload = octets[payload_at:payload_at + payload_octets]
        self.summed = head + meta
        if (magic != RECORD_MAGIC or crc != crc32c(meta, crc32c(head[:-4]))
                or payload_crc != crc32c(self.payload)):
            raise BadStore(f"record at {segment:08x}:{offset}")
        self.places = []
        if self.type in (ARTICLE, CANCEL, SUBMISSION):
            self.places = [(group, number) for group, _, number
                           in PLACE.iter_unpack(meta)]


class Group:
    def __init__(self, octets):
        (self.id, flag, self.alias, name, creator, description, self.created,
         self.low, self.high) = GROUP_HEAD.unpack_from(octets)
        self.flag = chr(flag) if flag else None
        texts = octets[GROUP_HEAD.size:][:name + creator + description]
        self.name = texts[:name].decode()
        self.creator = texts[name:name + creator].decode()
        self.description = texts[name + creator:].decode()
        self.octets = (GROUP_HEAD.size + len(texts) + 7) // 8 * 8


def groups_of(octets):
    while octets:
        group = Group(octets)
        yield group
        octets = octets[group.octets:]


# --- segments ---

class Segment:
    """One file of the log; end: where it ends, None where nobody says."""

    def __init__(self, path, number):
        self.number, self.end = number, None
        with open(path, "rb") as file:
            self.octets = file.read()
        head = self.octets[:SEGMENT_HEAD.size]
        (magic, version, named, self.storage_class, self.epoch,
         self.first_sequence, self.created, _, crc) = SEGMENT_HEAD.unpack(head)
        if magic != SEGMENT_MAGIC or crc != crc32c(head[:-4]):
            raise BadStore(f"head of segment {number:08x}")
        if (version, named) != (1, number):
            raise BadStore(f"segment {number:08x}: version {version}, "
                           f"number {named:08x}")

    def batch(self, offset, previous, last):
        """The records of the batch there and where it ends; None where no
        good one begins."""
        head = self.octets[offset:offset + BATCH_HEAD.size]
        if len(head) < BATCH_HEAD.size:
            return None
        (magic, segment, epoch, first, count, octets, before, heads_crc, _,
         crc) = BATCH_HEAD.unpack(head)
        if (magic != BATCH_MAGIC or crc != crc32c(head[:-4], offset)
                or (segment, epoch, before) != (self.number, self.epoch,
                                                previous)
                or first <= last - (offset == BATCHES_AT)):
            return None
        records, at, summed = [], offset + BATCH_HEAD.size, 0
        try:
            for _ in range(count):
                record = Record(self.number, at, self.octets)
                records.append(record)
                summed = crc32c(record.summed, summed)
                at += record.octets
        except (BadStore, struct.error):
            return None
        if summed != heads_crc or at != offset + octets:
            return None
        return records, at

    def records(self, last):
        """All records, in order; last: the last sequence before them."""
        offset, previous = BATCHES_AT, 0
        while self.end is None or offset < self.end:
            found = self.batch(offset, previous, last)
            if found is None:
                if self.end is None:
                    return
                raise BadStore(f"batch at {self.number:08x}:{offset}")
            records, end = found
            yield from records
            last = records[-1].sequence
            offset, previous = end, offset


# --- the store ---

class Store:
    """The spool as a whole.

    records: all of them, in order; articles: sequence -> record of those that
    are there, their places those that are left; groups: id -> Group, with
    marks; refused: hash -> until when.
    """

    def __init__(self, directory):
        self.segments = {}
        for name in sorted(os.listdir(directory)):
            if re.fullmatch("[0-9a-f]{8}[.]seg", name):
                number = int(name[:8], 16)
                self.segments[number] = Segment(
                    os.path.join(directory, name), number)
        self.read_ends()
        self.records, self.articles = [], {}
        self.groups, self.removed_to, self.refused = {}, {}, {}
        last = last_taken = 0
        # A compaction segment comes before the segment of the log with the
        # same first sequence, or a higher one.
        for segment in sorted(self.segments.values(), key=lambda one: (
                one.first_sequence, one.storage_class == 0, one.number)):
            in_log = segment.storage_class == 0
            for record in segment.records(last if in_log else 0):
                if record.type != ARTICLE or record.sequence > last_taken:
                    self.take(record)
                last_taken = max(last_taken, record.sequence)
                if in_log:
                    last = record.sequence

    def read_ends(self):
        for number in sorted(self.segments):
            first = self.segments[number].batch(BATCHES_AT, 0, 0)
            for record in first[0] if first else ():
                if record.type != TRUNC:
                    break
                ended, end = struct.unpack("<2I", record.payload)
                if ended in self.segments:
                    self.segments[ended].end = end

    def take(self, record):
        self.records.append(record)
        if record.type == ARTICLE:
            self.articles[record.sequence] = record
            self.refused.pop(record.hash, None)
        elif record.type == CANCEL:
            sequence, until = struct.unpack("<Qq", record.payload)
            self.articles.pop(sequence, None)
            self.refused[record.hash] = until
        elif record.type == EXPIRE:
            self.expire(record.payload)
        elif record.type == REMEMBER:
            for name, sequence, until, *_ in REMEMBERED.iter_unpack(
                    record.payload):
                self.remember(name, sequence, until)
        elif record.type in (GROUP, SNAPSHOT):
            for group in groups_of(record.payload):
                self.take_group(group)
        if record.type == ARTICLE:
            for group, number in record.places:
                self.groups[group].high = max(self.groups[group].high, number)

    def expire(self, payload):
        ranges, articles, until = EXPIRE_HEAD.unpack_from(payload)
        at = EXPIRE_HEAD.size
        ends = at + ranges * RANGE.size
        for group, _, first, last, low, high in RANGE.iter_unpack(
                payload[at:ends]):
            for record in self.articles.values():
                if low <= record.sequence <= high:
                    record.places = [
                        (one, number) for one, number in record.places
                        if one != group or not first <= number <= last]
        gone = payload[ends:]
        if len(gone) != articles * EXPIRED.size:
            raise BadStore("an EXPIRE of the wrong length")
        for sequence, name in EXPIRED.iter_unpack(gone):
            self.articles.pop(sequence, None)
            self.refused[name] = until

    def remember(self, name, sequence, until):
        """Unless an article of this ID came later, or more is said."""
        later = any(record.hash == name and record.sequence > sequence
                    for record in self.articles.values())
        if not later and until > self.refused.get(name, 0):
            self.articles.pop(sequence, None)
            self.refused[name] = until

    def take_group(self, group):
        old = self.groups.get(group.id)
        if old:
            group.low = max(group.low, old.low)
            group.high = max(group.high, old.high)
        if group.flag is None:
            self.removed_to[group.id] = group.high
        self.groups[group.id] = group

    def group(self, name):
        """The group of this name that is not removed."""
        return next(group for group in self.groups.values()
                    if group.name == name and group.flag)

    def numbers(self, name):
        """number -> record, of what is there in a group."""
        group = self.group(name)
        removed_to = self.removed_to.get(group.id, 0)
        found = {number: record for record in self.articles.values()
                 for one, number in record.places
                 if one == group.id and number > removed_to
                 and number >= group.low}
        return dict(sorted(found.items()))

    def marks(self, name):
        """(count, low, high), as GROUP answers."""
        group, numbers = self.group(name), self.numbers(name)
        return (len(numbers), min(numbers, default=group.high + 1),
                group.high)


def read_key(pathdb):
    with open(os.path.join(pathdb, "key"), encoding="ascii") as file:
        return bytes.fromhex(file.read())
