"""A resolver that sends each question to 10.90.2.2 twice, and closes its socket when the first answer is there."""
import socket
import struct
import time

NAME = b"\x03www\x07example\x03com\x00"

number = 0
while True:
    number = (number + 1) % 65536
    query = struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + NAME + struct.pack("!HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("10.90.2.2", 53))
        client.settimeout(2)
        client.send(query)
        client.send(query)
        try:
            client.recv(4096)
        except OSError:
            pass
    time.sleep(0.02)
