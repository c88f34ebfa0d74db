"""A TCP server on port 179 that takes signed segments (RFC 2385) from 10.90.1.2 only, as BGP speakers do."""
import socket
import struct

TCP_MD5SIG = 14
KEY = b"secret"

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
peer = struct.pack("=HH4s120x", socket.AF_INET, 0, socket.inet_aton("10.90.1.2"))
listener.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, peer + struct.pack("=BBHI80s", 0, 0, len(KEY), 0, KEY))
listener.bind(("10.90.2.2", 179))
listener.listen(16)
held = []
while True:
    held.append(listener.accept())
