"""Sends a datagram to this address and port five times a second, always from port 4444; with count=N so many."""
import socket
import sys
import time

target = (sys.argv[1], int(sys.argv[2]))
counts = [int(word[6:]) for word in sys.argv[3:] if word.startswith("count=")]
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.bind(("", 4444))
sent = 0
while not counts or sent < counts[0]:
    client.sendto(b"query", target)
    sent += 1
    if not counts or sent < counts[0]:
        time.sleep(0.2)
