"""Asks on interface `eth0` who has an address, again and again, and says who answered to each question: one line a question,
its number and the hardware addresses. Each question has a sender of its own, so that an answer tells which one it is to."""
import select, socket, struct, sys, time

address = socket.inet_aton(sys.argv[1])
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
link.bind(('eth0', 0))
own = link.getsockname()[4]
number = 0
answers = {}
while True:
    number += 1
    sender = struct.pack('!BBH', 10, 88, 0x8000 | number & 0x7fff)
    link.send(b'\xff' * 6 + own + struct.pack('!HHHBBH', 0x0806, 1, 0x0800, 6, 4, 1) + own + sender + b'\0' * 6 + address)
    answers[number & 0x7fff] = set()
    until = time.monotonic() + 0.01
    while (left := until - time.monotonic()) > 0:
        if not select.select([link], [], [], left)[0]:
            break
        frame = link.recv(2048)
        if frame[20:22] == b'\0\x02' and frame[28:32] == address:
            key = struct.unpack('!H', frame[40:42])[0] & 0x7fff
            answers.setdefault(key, set()).add(frame[22:28].hex(':'))
    print(number, *sorted(answers.pop((number - 1) & 0x7fff, [])), flush=True)
