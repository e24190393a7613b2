"""Measures the temperature of a room that is not there. SIGTERM ends it in order, SIGUSR1 breaks the sensor."""

import os
import signal
import sys
import time


def end(number, frame):
    print("the thermometer is put away")
    sys.exit(0)


def break_down(number, frame):
    raise OSError("the sensor is unplugged")


signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGUSR1, break_down)
print(f"measuring the {os.environ['ROOM']}")
print(f"process {os.getpid()}", file=sys.stderr)
for tenths in range(200, 10_000):
    print(f"{tenths / 10} degrees")
    time.sleep(1)
