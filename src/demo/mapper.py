# Hears the lidar, a line of JSON each scan, and says how much of the map it has drawn.
import json
import sys

drawn = set()
for line in sys.stdin:
    scan = json.loads(line)["data"]
    for angle, cm in enumerate(scan["cm"]):
        drawn.add((angle, cm // 10))
    if scan["scan"] % 20 == 0:
        print(json.dumps({"topic": "robot.map", "data": {"cells": len(drawn)}}), flush=True)
