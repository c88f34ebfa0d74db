"""A server on port 80 that sends back what it gets, says goodbye a moment later, and closes."""
import socketserver
import time


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            self.request.sendall(self.request.recv(4096))
            time.sleep(0.005)
            self.request.sendall(b"goodbye")
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


server = Server(("0.0.0.0", 80), Handler)
print("ready", flush=True)
server.serve_forever()
