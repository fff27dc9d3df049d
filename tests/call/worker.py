"""`python -m tests.call.worker`: the smallest that can be a worker. It does what the body of a request says, and starts in no
time, since it has no SDK. Frames, sockets and deaths are real."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time

import orjson

from pipeline.call.caller import Response
from pipeline.call.frames import Ask, Begin, Call, Frame, Here, Told, Unframing, framed


def main() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    if sys.argv[1:] == ["useless"]:
        sys.exit("no such thing as a client")
    wire = socket.socket(fileno=0)
    unframing = Unframing()
    while piece := wire.recv(1 << 16):
        for frame in unframing.fed(piece):
            match frame:
                case Begin() | Call():
                    say(wire, Here())
                case Ask():
                    obey(wire, frame)


def obey(wire: socket.socket, ask: Ask) -> None:
    match orjson.loads(ask.body)["do"]:
        case "answer":
            say(wire, Told(ask.number, Response(200, {"request-id": str(os.getpid())}, ask.body, 0.5)))
        case "keep":
            pass
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(3600)
        case "babble":
            wire.sendall(b"Traceback (most recent call last):\n")


def say(wire: socket.socket, frame: Frame) -> None:
    for piece in framed(frame):
        wire.sendall(piece)


if __name__ == "__main__":
    main()
