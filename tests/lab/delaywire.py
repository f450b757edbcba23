# Copyright (c) 2026, the pgsftp authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delay, and lose, every Ethernet frame of one lab host in both directions.

For kernels without netem. The machine's end of the host's veth pair leaves the bridge, a TAP
device takes its place, and this process carries the frames between the two. SIGTERM or SIGINT puts
the veth back. Frames travel with their virtio-net header, so that segmentation offload and
checksums that the kernel has not computed yet survive.
"""

import argparse
import collections
import errno
import fcntl
import os
import random
import select
import signal
import socket
import struct
import subprocess
import time

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 1, 2, 4
SOL_PACKET, PACKET_VNET_HDR, PACKET_IGNORE_OUTGOING = 263, 15, 23
ETH_P_ALL = 3

FRAME_MAX = 70000  # a 64 KiB segment and its headers
IDLE_SECONDS = 0.5  # between looks whether the veth is still there
FRAMES_PER_TURN = 64  # of one side, before the other side is looked at


class Stopped(Exception):
    """A signal asked for the end, or the host has gone."""


def ip_link(*arguments, check=True):
    subprocess.run(["ip", "link", "set", *arguments], check=check)


def open_tap(name):
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
    fcntl.ioctl(tap, TUNSETIFF, request)
    fcntl.ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
    return tap


def open_veth(name):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    raw.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    raw.bind((name, ETH_P_ALL))  # Python swaps the bytes
    raw.setblocking(False)
    return raw


def receive_from_veth(raw):
    try:
        return raw.recv(FRAME_MAX)
    except OSError as error:
        if error.errno != errno.ENETDOWN:
            raise
        raise BlockingIOError from None  # the cable is out, and may be put back


def carry(tap, raw, veth, delay, loss):
    """Carry frames until a signal comes or the veth has gone (delay in seconds, loss below 1)."""
    waiting = collections.deque()  # (due, send, frame); the delay is constant, so due only grows
    sides = {
        tap: (lambda: os.read(tap, FRAME_MAX), raw.send),
        raw: (lambda: receive_from_veth(raw), lambda frame: os.write(tap, frame)),
    }
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else IDLE_SECONDS
        readable, _dummy, _dummy = select.select(list(sides), [], [], timeout)
        if not readable and not waiting and not os.path.exists(f"/sys/class/net/{veth}"):
            raise Stopped
        now = time.monotonic()
        for side in readable:
            receive, send = sides[side]
            for _dummy in range(FRAMES_PER_TURN):
                try:
                    frame = receive()
                except BlockingIOError:
                    break
                if random.random() >= loss:
                    waiting.append((now + delay, send, frame))
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _dummy, send, frame = waiting.popleft()
            try:
                send(frame)
            except OSError:
                pass  # a full device loses the frame, as a wire would


def stop(_signal, _frame):
    raise Stopped


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("veth", help="the machine's end of the host's veth pair")
    parser.add_argument("bridge", help="the bridge it belongs to")
    parser.add_argument("milliseconds", type=float, help="delay of each direction")
    parser.add_argument("loss", type=float, nargs="?", default=0.0, help="lost frames in percent")
    arguments = parser.parse_args()
    if not arguments.veth.startswith("veth"):
        parser.error(f"{arguments.veth} is not the end of a veth pair")

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    tap_name = f"dw{arguments.veth}"[:15]
    tap = open_tap(tap_name)
    ip_link(arguments.veth, "nomaster")
    try:
        ip_link(arguments.veth, "promisc", "on")
        raw = open_veth(arguments.veth)
        ip_link(tap_name, "master", arguments.bridge, "up")
        print("ready", flush=True)
        carry(tap, raw, arguments.veth, arguments.milliseconds / 1000, arguments.loss / 100)
    except Stopped:
        pass
    finally:
        ip_link(arguments.veth, "promisc", "off", check=False)
        ip_link(arguments.veth, "master", arguments.bridge, check=False)


if __name__ == "__main__":
    main()
