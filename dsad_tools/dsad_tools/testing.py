"""For tests: a network camera, MJPEG over HTTP, whose frames say their number by their brightness."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


class MjpegServer:
    """Serves ``stream.mjpg`` on a local port until stopped; may be started again on the same port."""

    def __init__(self, port: int = 0, fps: float = 50.0, size: tuple[int, int] = (64, 48)):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    while not server.stopped.is_set():
                        self.wfile.write(server.next_part())
                        time.sleep(1 / fps)
                except OSError:
                    pass

            def log_message(self, *args):
                pass

        self.stopped = threading.Event()
        self.count = 0
        self.size = size
        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/stream.mjpg"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def next_part(self) -> bytes:
        self.count += 1
        width, height = self.size
        _, jpeg = cv2.imencode(".jpg", np.full((height, width), self.count % 200, np.uint8))
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        return head.encode() + jpeg.tobytes() + b"\r\n"

    def stop(self) -> None:
        self.stopped.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
