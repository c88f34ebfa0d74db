"""A name server whose zone corp.example has a wildcard (203.0.113.66). It knows www.example.net (203.0.113.80) and nothing else."""
import socket
import struct

IPV4 = 1
KNOWN = {"www.example.net": "203.0.113.80"}
WILDCARD = ("corp.example", "203.0.113.66")


def question(message):
    """The name asked for, the type, and where the question ends."""
    labels, at = [], 12
    while message[at]:
        end = at + 1 + message[at]
        labels.append(message[at + 1:end].decode("ascii", "replace").lower())
        at = end
    return ".".join(labels), int.from_bytes(message[at + 1:at + 3], "big"), at + 5


def reply(message):
    name, kind, end = question(message)
    zone, everything = WILDCARD
    address = everything if name.endswith("." + zone) else KNOWN.get(name)
    answers = b""
    if address and kind == IPV4:
        answers = struct.pack("!HHHIH", 0xC00C, IPV4, 1, 30, 4) + socket.inet_aton(address)
    code = 0 if address or name == zone else 3
    head = struct.pack("!HHHHH", 0x8580 | code, 1, 1 if answers else 0, 0, 0)
    return message[:2] + head + message[12:end] + answers


server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("0.0.0.0", 53))
print("ready", flush=True)
while True:
    asked, client = server.recvfrom(4096)
    try:
        server.sendto(reply(asked), client)
    except (IndexError, struct.error):
        pass
