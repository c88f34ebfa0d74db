"""A client that sends two requests on each connection, the second so many seconds after the first, or a farewell in its place."""
import socket
import sys
import time

IDLE_S = float(sys.argv[1])
REQUEST = b"GET /status HTTP/1.1\r\nHost: shop\r\n\r\n"
# As long as TLS' close_notify is.
SECOND = bytes(24) if "farewell" in sys.argv else REQUEST

while True:
    connection = socket.create_connection(("10.90.2.2", 80))
    try:
        connection.sendall(REQUEST)
        connection.recv(4096)
        time.sleep(IDLE_S)
        connection.sendall(SECOND)
        connection.recv(4096)
    except OSError:
        pass
    connection.close()
    time.sleep(0.1)
