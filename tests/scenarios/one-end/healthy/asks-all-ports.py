"""A client that asks ports 9000 to 9119 of 10.90.2.2 in turn, without end."""
import socket
import time

while True:
    for port in range(9000, 9120):
        with socket.create_connection(("10.90.2.2", port)) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while connection.recv(4096):
                pass
        time.sleep(0.01)
