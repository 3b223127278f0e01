"""How `gunicorn wsgi:app` serves: threads that wait for no slow client, on the config's address.

gunicorn reads this file from the current directory, or by -c. It leans on the insides of gunicorn
27.0.1 (handle, murder_pending, close): pin that version, and keep tests/web/test_gunicorn.py.
"""

import contextlib
import os
import secrets
import socket
import struct
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Also where gunicorn is started elsewhere, with -c: `risk` lies beside this file.
sys.path.insert(0, str(HERE))

from gunicorn.workers.gthread import ThreadWorker  # noqa: E402

from risk.config import PipelineError, load  # noqa: E402
from risk.web import metrics  # noqa: E402
from risk.web.callers import refuse_open_door  # noqa: E402

RECEIVE_SECONDS = 5  # without a byte
CALL_SECONDS = 60  # for a whole call, however slowly it drips in


class PatientWorker(ThreadWorker):
    """gthread with time-outs on the socket, and the lingering close done in the pool's thread.

    The close waits up to 2 s for a client that does not hang up; in the main thread, where gthread
    does it, everybody else waits too. Who sends a byte now and then is cut off after CALL_SECONDS.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.began = {}

    def handle(self, conn):
        # In the kernel: gthread's setblocking() would undo a settimeout().
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            conn.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", RECEIVE_SECONDS, 0))
        self.began[conn] = time.monotonic()
        try:
            kept = super().handle(conn)
            if kept is False:
                with contextlib.suppress(OSError):
                    conn.close(graceful=True)
                # gthread closes it once more, in the main thread, where it must not wait.
                conn.close = lambda graceful=False: None
            return kept
        finally:
            del self.began[conn]

    def murder_pending(self):
        super().murder_pending()
        late = time.monotonic() - CALL_SECONDS
        # A copy: the pool's threads begin and end calls meanwhile.
        for conn, began in list(self.began.items()):
            if began < late:
                with contextlib.suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)


def unless_timed_out(record):
    """False for the traceback that gunicorn logs when a client's time is up."""
    return not (record.exc_info and isinstance(record.exc_info[1], BlockingIOError))


def pre_fork(server, worker):
    """A slot of the shared counters for the worker: the lowest that no living one has."""
    taken = {getattr(one, "slot", None) for one in server.WORKERS.values()}
    worker.slot = next(number for number in range(len(taken) + 1) if number not in taken)


def post_fork(server, worker):
    metrics.take_slot(worker.slot)


def post_worker_init(worker):
    worker.log.error_log.addFilter(unless_timed_out)
    # Else a worker's first caller waits until the application is built.
    getattr(worker.wsgi, "build", lambda: None)()


def or_end(check, *arguments):
    """What the check returns; its PipelineError ends the server with one line."""
    try:
        return check(*arguments)
    except PipelineError as error:
        sys.exit(f"error: {error}")


def when_ready(server):
    """The addresses as they were really bound, by the config or by -b, before any worker starts."""
    for listener in server.LISTENERS:
        address = listener.sock.getsockname()
        if isinstance(address, tuple):
            or_end(refuse_open_door, address[0])


metrics.share()
# A form that one worker has made comes back to any of them, also after a reload.
os.environ.setdefault("RISK_PAGE_SECRET", secrets.token_hex(32))
settings = or_end(load, os.environ.get("RISK_CONFIG") or HERE / "config.json")
host = f"[{settings.host}]" if ":" in settings.host else settings.host

bind = f"{host}:{settings.port}"
chdir = str(HERE)
workers = 2
threads = 256  # a slow client holds one for up to CALL_SECONDS
worker_class = PatientWorker
graceful_timeout = 10
control_socket_disable = True  # nothing here uses it: no file in a home folder, no second door
# The workers' heartbeats: a file on a busy disk can hold a worker up.
if Path("/dev/shm").is_dir():
    worker_tmp_dir = "/dev/shm"
