"""A proxy that takes connections which TPROXY hands it on port 15001, for whatever address they were, and answers each."""
import socket

IP_TRANSPARENT = 19

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
listener.bind(("0.0.0.0", 15001))
listener.listen(16)
print("ready", flush=True)
while True:
    taken, _ = listener.accept()
    try:
        taken.recv(4096)
        taken.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except OSError:
        pass
    taken.close()
