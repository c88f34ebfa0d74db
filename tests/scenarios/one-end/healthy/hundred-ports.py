"""Answers HTTP on ports 9000 to 9119."""
import selectors
import socket

ANSWER = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"

selector = selectors.DefaultSelector()
for port in range(9000, 9120):
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))
    listener.listen(64)
    selector.register(listener, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in selector.select():
        taken, _ = key.fileobj.accept()
        try:
            taken.recv(4096)
            taken.sendall(ANSWER)
        except OSError:
            pass
        taken.close()
