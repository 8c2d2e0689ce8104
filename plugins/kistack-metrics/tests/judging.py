"""A chat endpoint on this machine that answers as a test says, and remembers what it was asked."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Endpoint:
    """``reply(body)`` returns the text of the answer, or a number: the HTTP status to fail with."""

    def __init__(self, reply):
        self.reply = reply
        self.asked = []
        self.headers = []
        self.extra = {}
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    outer.asked.append((self.path, body))
                    outer.headers.append(dict(self.headers))
                    said = outer.reply(body)
                status = said if isinstance(said, int) else 200
                content = {"choices": [{"message": {"content": said}}]} if isinstance(said, str) else said
                data = json.dumps(content).encode() if not isinstance(said, bytes) else said
                self.send_response(status)
                for name, value in outer.extra.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
