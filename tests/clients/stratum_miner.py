#!/usr/bin/env python3
"""A Stratum V1 miner that shares no code and no language with the pool it tests.

It really hashes: SHA-256d or scrypt (N = 1024, r = 1, p = 1), both from the standard library's OpenSSL, in as many
processes as asked for. It is as strict as the miners seen in the field: any line before the answer to its
subscription ends the connection, a new difficulty or extranonce holds from the next job on, and 120 silent seconds are
a dead pool. It never mines without a pool, keeps nothing on disk, and checks no transaction.

    stratum_miner.py --url stratum+tcp://127.0.0.1:3333 --user ADDRESS.WORKER --algorithm scrypt --shares 10

One line is printed for each answered share, `block` where its hash also meets the target in the header:

    accepted job=7 extranonce2=00000000 ntime=6501a68a nonce=0000002a difficulty=0.0001 hash=00ab… block
    rejected job=7 extranonce2=00000000 ntime=6501a68a nonce=0000002b difficulty=0.0001 hash=00cd… [23, "…", null]

The exit status is 0 once the wanted number of shares was accepted, 1 when `--seconds` ran out first or the connection
could not be kept up, and 2 for arguments that make no sense.

Reading order: `Job` (what a header is made of), `mine` (a hashing process), `Session` (the protocol), `main`.
"""

import argparse
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import signal
import socket
import ssl
import struct
import sys
import time
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from urllib.parse import urlsplit

USER_AGENT = "adit-test-miner/1"
SILENCE_SECONDS_MAX = 120
LINE_BYTES_MAX = 1 << 20
HASH_MAX = (1 << 256) - 1
NONCES_PER_COINBASE = 1 << 16  # of 2^32 possible ones: a slow miner, too, shall come to a second coinbase


class Disconnected(Exception):
    """The connection cannot be used further; the text says why."""


# --- Work -------------------------------------------------------------------------------------------------------------


def sha256d(data):
    """Returns SHA-256 of SHA-256 of `data`."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def scrypt(header):
    """Returns scrypt(1024, 1, 1) of a header, which is its own salt."""
    return hashlib.scrypt(header, salt=header, n=1024, r=1, p=1, dklen=32)


@dataclass(frozen=True)
class Algorithm:
    """A proof-of-work hash, the target of difficulty 1, and how many hashes to do between looks at the orders."""

    hash: object
    target_of_one: int
    batch: int


# A pool's difficulty 1 is 2^16 times easier for scrypt than for SHA-256d.
ALGORITHMS = {
    "sha256d": Algorithm(sha256d, 0xFFFF << 208, 4096),
    "scrypt": Algorithm(scrypt, 0xFFFF << 224, 32),
}


@dataclass(frozen=True)
class Job:
    """One `mining.notify`, with the extranonces and the difficulty that held when it came."""

    id: str
    previous: bytes  # in the header's byte order
    coinbase_head: bytes  # up to and with extranonce1
    coinbase_tail: bytes
    branches: tuple
    version: int
    bits: int
    time: int
    extranonce2_bytes: int
    difficulty: Fraction
    version_mask: int

    @staticmethod
    def from_notify(params, session):
        """Reads the parameters of `mining.notify`; raises `ValueError` or `TypeError` if they are none."""
        job_id, previous, head, tail, branches, version, bits, ntime = params[:8]
        previous = bytes.fromhex(previous)
        if len(previous) != 32 or not isinstance(job_id, str):
            raise ValueError("a previous hash of 32 bytes and a job id of text are needed")
        return Job(
            id=job_id,
            previous=b"".join(previous[i : i + 4][::-1] for i in range(0, 32, 4)),
            coinbase_head=bytes.fromhex(head) + session.extranonce1,
            coinbase_tail=bytes.fromhex(tail),
            branches=tuple(bytes.fromhex(branch) for branch in branches),
            version=int(version, 16),
            bits=int(bits, 16),
            time=int(ntime, 16),
            extranonce2_bytes=session.extranonce2_bytes,
            difficulty=session.difficulty,
            version_mask=session.version_mask,
        )

    def header_head(self, extranonce2, version_bits):
        """Returns the first 76 bytes of the header: all of it but the nonce."""
        root = sha256d(self.coinbase_head + extranonce2 + self.coinbase_tail)
        for branch in self.branches:
            root = sha256d(root + branch)
        version = (self.version & ~self.version_mask) | (version_bits & self.version_mask)
        return struct.pack("<I", version) + self.previous + root + struct.pack("<II", self.time, self.bits)

    def stub(self):
        """Returns what a share tells of its job, without the parts that may be of any size."""
        return replace(self, coinbase_head=b"", coinbase_tail=b"", branches=())

    def share_target(self, algorithm):
        """Returns the largest hash, as a little-endian number, that the pool takes as a share."""
        return min(int(algorithm.target_of_one / self.difficulty), HASH_MAX)

    def block_target(self):
        """Returns the target that the header's compact bits stand for."""
        size, mantissa = self.bits >> 24, self.bits & 0x7FFFFF
        return mantissa << 8 * (size - 3) if size > 3 else mantissa >> 8 * (3 - size)


@dataclass(frozen=True)
class Share:
    """A header whose hash meets its job's difficulty."""

    generation: int  # which connection its job came over
    job: Job  # without its coinbase and branches, see `Job.stub`
    extranonce2: str
    nonce: str
    version_bits: str
    hash: int

    def describe(self):
        """Returns the share as it is printed, before the pool's answer."""
        block = " block" if self.hash <= self.job.block_target() else ""
        return (
            f"job={self.job.id} extranonce2={self.extranonce2} ntime={self.job.time:08x} nonce={self.nonce}"
            f" difficulty={float(self.job.difficulty):g} hash={self.hash:064x}{block}"
        )


# --- Hashing ----------------------------------------------------------------------------------------------------------


def lowest_bit(mask):
    """Returns the lowest set bit of `mask`, or 0."""
    return mask & -mask


def mine(orders, algorithm_name, process, processes, hashes_per_second):
    """Hashes until the pipe `orders` closes: receives `(generation, Job)` or `None` (rest), sends `Share`s back.

    Processes never hash the same header: each takes every `processes`-th extranonce2. Where the pool lets version bits
    be rolled, the lowest of them is set for every second batch of nonces.
    """
    algorithm = ALGORITHMS[algorithm_name]
    try:
        order = orders.recv()
        while True:
            while order is None:
                order = orders.recv()
            order = mine_job(orders, algorithm, *order, process, processes, hashes_per_second)
    except (EOFError, OSError, KeyboardInterrupt):
        return


def batch_size(algorithm, hashes_per_second):
    """Returns how many nonces make a batch: a power of two, at most a tenth of a second's worth if there is a rate."""
    batch = algorithm.batch
    while hashes_per_second and batch > 1 and batch > hashes_per_second / 10:
        batch //= 2
    return batch


def mine_job(orders, algorithm, generation, job, process, processes, hashes_per_second):
    """Hashes one job until the next order comes, and returns that order."""
    target = job.share_target(algorithm)
    batch = batch_size(algorithm, hashes_per_second)
    pause = batch / hashes_per_second if hashes_per_second else 0
    mask, stub = job.version_mask, job.stub()
    for counter in range(process, 1 << 8 * job.extranonce2_bytes, processes):
        extranonce2 = counter.to_bytes(job.extranonce2_bytes, "little")
        version_bits = job.version & mask
        for start in range(0, NONCES_PER_COINBASE, batch):
            began = time.monotonic()
            head = job.header_head(extranonce2, version_bits)
            for nonce, value in shares_in(algorithm.hash, head, target, start, start + batch):
                orders.send(Share(generation, stub, extranonce2.hex(), f"{nonce:08x}", f"{version_bits:08x}", value))
            if orders.poll(max(0, began + pause - time.monotonic())):
                return orders.recv()
            version_bits ^= lowest_bit(mask)
    return orders.recv()


def shares_in(hash_of, head, target, start, end):
    """Yields `(nonce, hash)` for each nonce of `[start, end)` whose hash is at most `target`."""
    pack, number = struct.Struct("<I").pack, int.from_bytes
    for nonce in range(start, end):
        value = number(hash_of(head + pack(nonce)), "little")
        if value <= target:
            yield nonce, value


class Workers:
    """The hashing processes and the pipes to them."""

    def __init__(self, options):
        self.pipes = []
        self.processes = []
        rate = options.hash_rate / options.threads if options.hash_rate else 0
        for index in range(options.threads):
            ours, theirs = multiprocessing.Pipe()
            arguments = (theirs, options.algorithm, index, options.threads, rate)
            process = multiprocessing.Process(target=mine, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)

    def order(self, what):
        """Gives every process a job, or `None` to rest."""
        for pipe in self.pipes:
            pipe.send(what)

    def stop(self):
        """Ends all processes."""
        for process in self.processes:
            process.terminate()


# --- Protocol ---------------------------------------------------------------------------------------------------------


class Session:
    """One connection to a pool: reads its lines, keeps what they set, and submits shares."""

    def __init__(self, options, address, generation, previous_session):
        self.options = options
        self.generation = generation
        self.previous_session = previous_session
        self.session_id = None
        self.extranonce1 = None
        self.extranonce2_bytes = 0
        self.next_extranonces = None
        self.difficulty = Fraction(1)
        self.version_mask = 0
        self.authorized = False
        self.waiting = {}  # request id -> what to do with its answer
        self.last_id = 0
        self.buffer = b""
        self.heard = time.monotonic()
        self.job = None
        self.reconnect = None
        self.submitted = 0  # shares without an answer yet
        self.answered = []  # (Share, accepted, error) since they were last taken
        self.socket = connect(address, options)

    def start(self):
        """Asks for version rolling if told to, then subscribes and authorizes as miners do: without waiting."""
        if self.options.version_rolling:
            extension = {"version-rolling.mask": self.options.version_mask, "version-rolling.min-bit-count": 1}
            self.request("mining.configure", [["version-rolling"], extension], self.on_configured)
        session = [self.previous_session] if self.previous_session else []
        self.request("mining.subscribe", [USER_AGENT] + session, self.on_subscribed)
        self.request("mining.authorize", [self.options.user, self.options.password], self.on_authorized)
        if self.options.extranonce_subscribe:
            self.request("mining.extranonce.subscribe", [], lambda result, error: None)

    def request(self, method, params, then):
        """Sends a request; `then(result, error)` is called with its answer."""
        self.last_id += 1
        self.waiting[self.last_id] = then
        self.send({"id": self.last_id, "method": method, "params": params})

    def send(self, message):
        """Writes one line."""
        try:
            self.socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise Disconnected(f"the pool cannot be written to: {error}") from error

    def receive(self):
        """Reads what has come, and acts on each whole line."""
        try:
            data = self.socket.recv(65536)
        except (ssl.SSLWantReadError, BlockingIOError):
            return
        except OSError as error:
            raise Disconnected(f"the pool cannot be read from: {error}") from error
        if not data:
            raise Disconnected("the pool closed the connection")
        self.heard = time.monotonic()
        *lines, self.buffer = (self.buffer + data).split(b"\n")
        if len(self.buffer) > LINE_BYTES_MAX:
            raise Disconnected("the pool sent a line without end")
        for line in lines:
            self.on_line(line)

    def on_line(self, line):
        """Acts on one line; a line that is no Stratum ends the connection."""
        if self.options.trace:
            print(f"< {line.decode(errors='replace')}", flush=True)
        try:
            message = json.loads(line, parse_float=Decimal)
            method = message.get("method")
            if method is None:
                return self.on_answer(message)
            if self.extranonce1 is None:
                raise Disconnected(f"the pool sent {method} before the answer to the subscription")
            return self.on_method(method, message.get("params") or [], message.get("id"))
        except (ValueError, TypeError, IndexError, AttributeError) as error:
            raise Disconnected(f"the pool sent what is no Stratum line: {line[:200]!r}: {error}") from error

    def on_answer(self, message):
        """Hands an answer to whoever waits for it."""
        then = self.waiting.pop(message.get("id"), None)
        if then is None:
            raise Disconnected(f"the pool answered what was not asked: {message}")
        then(message.get("result"), message.get("error"))

    def on_method(self, method, params, request_id):
        """Acts on a request or a notification of the pool's."""
        if method == "mining.notify":
            if self.next_extranonces:
                self.extranonce1, self.extranonce2_bytes = self.next_extranonces
                self.next_extranonces = None
            self.job = Job.from_notify(params, self)
        elif method == "mining.set_difficulty":
            self.difficulty = Fraction(params[0])
            if self.difficulty <= 0:
                raise ValueError("a difficulty must be positive")
        elif method == "mining.set_extranonce":
            self.next_extranonces = bytes.fromhex(params[0]), int(params[1])
        elif method == "mining.set_version_mask":
            self.version_mask = int(params[0], 16)
        elif method == "client.reconnect":
            self.reconnect = tuple(params)
        elif method == "client.show_message":
            print(f"message {params[0]}", flush=True)
        elif method == "client.get_version":
            self.send({"id": request_id, "result": USER_AGENT, "error": None})
        elif method == "mining.ping":
            self.send({"id": request_id, "result": "pong", "error": None})

    def on_configured(self, result, error):
        if error is None and result.get("version-rolling") is True:
            self.version_mask = int(result["version-rolling.mask"], 16)

    def on_subscribed(self, result, error):
        if error is not None:
            raise Disconnected(f"the pool refused the subscription: {json.dumps(error)}")
        subscriptions, extranonce1, extranonce2_bytes = result
        self.extranonce1, self.extranonce2_bytes = bytes.fromhex(extranonce1), int(extranonce2_bytes)
        self.session_id = subscriptions[0][1] if subscriptions else None

    def on_authorized(self, result, error):
        if result is not True:
            raise Disconnected(f"the pool refused the worker: {json.dumps(error)}")
        self.authorized = True

    def submit(self, share):
        """Sends a share, of whatever job of this connection: the pool says what a late one is worth."""
        params = [self.options.user, share.job.id, share.extranonce2, f"{share.job.time:08x}", share.nonce]
        if share.job.version_mask:
            params.append(share.version_bits)

        def then(result, error):
            self.submitted -= 1
            self.answered.append((share, result is True and error is None, error))

        self.submitted += 1
        self.request("mining.submit", params, then)

    def close(self):
        self.socket.close()


def connect(address, options):
    """Opens a connection, with TLS where the address says so."""
    scheme, host, port = address
    try:
        plain = socket.create_connection((host, port), timeout=10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if scheme == "stratum+tcp":
            return plain
        context = ssl.create_default_context(cafile=options.ca)
        return context.wrap_socket(plain, server_hostname=host)
    except OSError as error:
        raise Disconnected(f"the pool cannot be reached: {error}") from error


# --- The program ------------------------------------------------------------------------------------------------------


class Miner:
    """Keeps a session up, hands its jobs to the processes and their shares to it, and counts."""

    def __init__(self, options):
        self.options = options
        self.workers = Workers(options)
        self.address = options.address
        self.deadline = time.monotonic() + options.seconds if options.seconds else None
        self.accepted = self.rejected = self.generation = 0
        self.failures = 0  # in a row, without an answered share between them
        self.session_id = None

    def run(self):
        """Mines until done; returns the exit status."""
        try:
            while not self.done() and self.failures <= self.options.retries:
                try:
                    self.connection()
                except Disconnected as reason:
                    self.failures += 1
                    self.workers.order(None)
                    print(f"disconnected {reason}", flush=True)
                    self.wait(1)
        finally:
            self.workers.stop()
        print(f"total accepted={self.accepted} rejected={self.rejected}", flush=True)
        return 0 if self.accepted >= self.options.shares > 0 else 1

    def done(self):
        """Whether the wanted shares were accepted or the time is over."""
        if 0 < self.options.shares <= self.accepted:
            return True
        return self.deadline is not None and time.monotonic() >= self.deadline

    def wait(self, seconds):
        """Rests before the next attempt, but not past the deadline."""
        left = seconds if self.deadline is None else min(seconds, self.deadline - time.monotonic())
        time.sleep(max(left, 0))

    def connection(self):
        """Lives through one connection, until its end or ours."""
        self.generation += 1
        session = Session(self.options, self.address, self.generation, self.session_id)
        try:
            session.start()
            while not self.done():
                self.step(session)
                if session.reconnect is not None:
                    self.follow(session.reconnect)
                    break
        finally:
            self.session_id = session.session_id or self.session_id
            session.close()

    def step(self, session):
        """Waits for a line or a share and acts on it."""
        silence_left = session.heard + SILENCE_SECONDS_MAX - time.monotonic()
        if silence_left <= 0:
            raise Disconnected(f"the pool was silent for {SILENCE_SECONDS_MAX} seconds")
        left = [silence_left] if self.deadline is None else [silence_left, self.deadline - time.monotonic()]
        # TLS may hold decrypted bytes that the socket no longer shows as readable.
        pending = isinstance(session.socket, ssl.SSLSocket) and session.socket.pending() > 0
        timeout = 0 if pending else max(min(left), 0)
        ready = multiprocessing.connection.wait([session.socket, *self.workers.pipes], timeout)
        if session.socket in ready or pending:
            session.receive()
            self.report(session)
        if session.job is not None and session.authorized:
            self.workers.order((self.generation, session.job))
            session.job = None
        for pipe in self.workers.pipes:
            if pipe in ready:
                self.submit(session, pipe.recv())

    def submit(self, session, share):
        """Submits a share, unless it is of an earlier connection or enough have been sent."""
        wanted = self.options.shares
        if share.generation != self.generation or 0 < wanted <= self.accepted + session.submitted:
            return
        session.submit(share)

    def report(self, session):
        """Prints and counts the shares answered since last time."""
        answers, session.answered = session.answered, []
        for share, accepted, error in answers:
            self.failures = 0
            self.accepted += accepted
            self.rejected += not accepted
            reason = "" if accepted else f" {json.dumps(error, default=str)}"
            print(f"{'accepted' if accepted else 'rejected'} {share.describe()}{reason}", flush=True)

    def follow(self, where):
        """Takes the address that `client.reconnect` named; what it leaves out stays, and the port may be text."""
        scheme, host, port = self.address
        new_host, new_port, seconds = (*where, None, None, None)[:3]
        self.address = scheme, new_host or host, int(new_port or port)
        print(f"reconnecting to {self.address[1]}:{self.address[2]}", flush=True)
        self.workers.order(None)
        self.wait(float(seconds or 0))


def parse_arguments():
    """Returns the options, with the address taken apart."""
    parser = argparse.ArgumentParser(description="a Stratum V1 miner for tests")
    parser.add_argument("--url", required=True, help="stratum+tcp://HOST:PORT, or stratum+ssl:// for TLS")
    parser.add_argument("--user", required=True, help="payout address, with .worker if there are several")
    parser.add_argument("--password", "--pass", default="x")
    parser.add_argument("--algorithm", choices=sorted(ALGORITHMS), default="sha256d")
    parser.add_argument("--threads", type=int, default=1, help="hashing processes")
    parser.add_argument("--shares", type=int, default=0, help="stop after so many accepted shares; 0: never")
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long; 0: never")
    parser.add_argument("--hash-rate", type=float, default=0, help="at most so many hashes a second; 0: no limit")
    parser.add_argument("--retries", type=int, default=5, help="give up after so many failures in a row")
    parser.add_argument("--version-rolling", action="store_true", help="ask for BIP 310 version rolling")
    parser.add_argument("--version-mask", default="1fffe000", help="the bits to ask for; the lowest granted is rolled")
    parser.add_argument("--extranonce-subscribe", action="store_true", help="ask for mining.set_extranonce")
    parser.add_argument("--ca", help="file of certificates to trust for TLS")
    parser.add_argument("--trace", action="store_true", help="print every line of the pool")
    options = parser.parse_args()
    url = urlsplit(options.url)
    if url.scheme not in ("stratum+tcp", "stratum+ssl") or not url.hostname or not url.port:
        parser.error(f"no address of a pool: {options.url}")
    if options.threads < 1 or min(options.shares, options.seconds, options.hash_rate, options.retries) < 0:
        parser.error("numbers must not be negative, and one thread is the least")
    options.address = url.scheme, url.hostname, url.port
    return options


def main():
    # Set here: whoever is started in the background of a shell inherits that interrupts are ignored.
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, signal.default_int_handler)
    try:
        return Miner(parse_arguments()).run()
    except KeyboardInterrupt:
        return 1


if __name__ == "__main__":
    sys.exit(main())
