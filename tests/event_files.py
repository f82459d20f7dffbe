"""Reads the event files of TensorBoard: each record is a length, its checksum, an event, its checksum."""

import struct

from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event


def masked(data):
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17 & 0xFFFFFFFF) + 0xA282EAD8) & 0xFFFFFFFF


def events_in(folder):
    events = []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, place = path.read_bytes(), 0
        while place < len(data):
            length, of_length = struct.unpack_from("<QI", data, place)
            event = data[place + 12 : place + 12 + length]
            (of_event,) = struct.unpack_from("<I", data, place + 12 + length)
            assert (of_length, of_event) == (masked(data[place : place + 8]), masked(event))
            events.append(Event.FromString(event))
            place += 12 + length + 4
    return events


def scalars_in(folder):
    return [(value.tag, event.step, value.simple_value) for event in events_in(folder) for value in event.summary.value]
