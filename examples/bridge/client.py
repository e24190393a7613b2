"""Writes down each event of a stream once: killed at any moment and started again, it goes on where it was.

    python3 client.py SOCKET STREAM FILE        or 127.0.0.1:PORT, with a token in BRIDGE_TOKEN
"""
import base64, json, os, socket, struct, sys

def connect(address):
    line = socket.socket(socket.AF_UNIX if "/" in address else socket.AF_INET)
    line.connect(address if "/" in address else (address.split(":")[0], int(address.split(":")[1])))
    key = base64.b64encode(os.urandom(16)).decode()
    line.sendall((f"GET /api/v1/bridge HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                  f"Authorization: Bearer {os.environ.get('BRIDGE_TOKEN', '')}\r\n\r\n").encode())
    coming = line.makefile("rb")
    if b" 101 " not in (status := coming.readline()):
        sys.exit(f"no bridge at {address}: {status.decode().strip()}")
    while coming.readline().strip():    # The rest of the head says nothing that is needed.
        pass
    return line, coming

def send(line, data, kind=1):           # A client masks what it sends (RFC 6455, 5.3).
    size = bytes([128 | len(data)]) if len(data) < 126 else struct.pack(">BH", 128 | 126, len(data))
    mask = os.urandom(4)
    line.sendall(bytes([128 | kind]) + size + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)))

def documents(line, coming):
    while head := coming.read(2):
        size = head[1] if head[1] < 126 else int.from_bytes(coming.read(2 if head[1] == 126 else 8), "big")
        kind, data = head[0] & 15, coming.read(size)
        if kind == 1:
            yield json.loads(data)
        elif kind == 9:                 # A ping; who does not answer is taken for gone.
            send(line, data, 10)

def place(position):                    # 1763675400123-0 comes before 1763675400123-10.
    return tuple(map(int, position.split("-")))

line, coming = connect(sys.argv[1])
send(line, json.dumps({"id": 1, "op": "subscribe", "stream": sys.argv[2], "group": "writer"}).encode())
file = open(sys.argv[3], "a+b", buffering=0)
file.seek(0)
last = place((file.read().split(b"\n")[-2:-1] or [b"0-0"])[0].split(b" ")[0].decode())
for document in documents(line, coming):
    if "error" in document:
        sys.exit(document["error"]["message"])
    if event := document.get("event"):
        position = document["position"]
        if place(position) > last:      # What the kernel had not heard to be acknowledged comes again.
            file.write(f"{position} {event['topic']} {json.dumps(event['data'])}\n".encode())
            last = place(position)
        send(line, json.dumps({"id": 2, "op": "ack", "subscription": 1, "position": position}).encode())
