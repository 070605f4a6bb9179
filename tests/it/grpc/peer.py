"""A server and a client of gRPC's own Python implementation, with messages that are octets.

    peer.py serve           serves test.Echo and the health protocol, and prints its port
    peer.py call ADDRESS    calls test.Echo at this address in every way there is, and fails where an answer is wrong
"""

import sys
import threading
from concurrent import futures

import grpc

DEADLINE = 60
LARGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Echo(grpc.GenericRpcHandler):
    """Finds a method by the last part of its path."""

    def __init__(self):
        self.cancelled = threading.Event()

    def service(self, call):
        kinds = {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Repeat": grpc.unary_stream_rpc_method_handler(self.repeat),
            "Collect": grpc.stream_unary_rpc_method_handler(self.collect),
            "Chat": grpc.stream_stream_rpc_method_handler(self.chat),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
            "Cancelled": grpc.unary_unary_rpc_method_handler(self.was_cancelled),
            "Check": grpc.unary_unary_rpc_method_handler(lambda _message, _context: b"\x08\x01"),
        }
        return kinds.get(call.method.rsplit("/", 1)[1])

    def unary(self, message, context):
        asked = dict(context.invocation_metadata())
        back = [(name, asked[name]) for name in ("x-text", "x-blob-bin") if name in asked]
        context.send_initial_metadata(back)
        context.set_trailing_metadata(back)
        return message

    def repeat(self, message, _context):
        for _ in range(100):
            yield message

    def collect(self, messages, _context):
        return b"".join(messages)

    def chat(self, messages, _context):
        yield from messages

    def fail(self, _message, context):
        context.set_trailing_metadata([("x-why", "because")])
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "50 % – no")

    def hang(self, _message, context):
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(DEADLINE)
        return b""

    def was_cancelled(self, _message, _context):
        return b"yes" if self.cancelled.wait(DEADLINE) else b"no"


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=LARGE)
    server.add_generic_rpc_handlers([Echo()])
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    # Until whoever has started it closes the pipe.
    sys.stdin.read()
    server.stop(None)


def call(address):
    with grpc.insecure_channel(address, options=LARGE) as channel:
        unary_call(channel)
        streams(channel)
        conversation(channel)
        refusals(channel)
        deadline(channel)
    print("all well")


def unary_call(channel):
    unary = channel.unary_unary("/test.Echo/Unary")
    sent = [("x-text", "some text"), ("x-blob-bin", bytes(range(256)))]
    answer, told = unary.with_call(b"hello", metadata=sent, timeout=DEADLINE)
    assert answer == b"hello", answer
    for metadata in (told.initial_metadata(), told.trailing_metadata()):
        assert set(sent) <= set(metadata), metadata
    large = bytes(8 << 20)
    assert unary(large, timeout=DEADLINE) == large
    assert unary(b"", timeout=DEADLINE) == b""


def streams(channel):
    repeated = list(channel.unary_stream("/test.Echo/Repeat")(b"again", timeout=DEADLINE))
    assert repeated == [b"again"] * 100, repeated
    pieces = [b"%d," % number for number in range(100)]
    whole = channel.stream_unary("/test.Echo/Collect")(iter(pieces), timeout=DEADLINE)
    assert whole == b"".join(pieces), whole


def conversation(channel):
    heard = threading.Semaphore(0)

    def messages():
        for number in range(50):
            yield b"message %d" % number
            # The next is sent when this one is back.
            assert heard.acquire(timeout=DEADLINE)

    answers = channel.stream_stream("/test.Echo/Chat")(messages(), timeout=DEADLINE)
    count = 0
    for number, answer in enumerate(answers):
        assert answer == b"message %d" % number, answer
        heard.release()
        count += 1
    assert count == 50, count


def refusals(channel):
    error = error_of(channel.unary_unary("/test.Echo/Fail"), DEADLINE)
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
    assert error.details() == "50 % – no", error
    assert ("x-why", "because") in error.trailing_metadata(), error
    error = error_of(channel.unary_unary("/test.Echo/Unknown"), DEADLINE)
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
    # What no route takes, fiel answers by itself.
    error = error_of(channel.unary_unary("/nowhere.Service/Method"), DEADLINE)
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
    assert error.details().startswith("404 Not Found, request id "), error


def deadline(channel):
    error = error_of(channel.unary_unary("/test.Echo/Hang"), 0.3)
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    assert channel.unary_unary("/test.Echo/Cancelled")(b"", timeout=DEADLINE) == b"yes"


def error_of(method, timeout):
    try:
        method(b"", timeout=timeout)
    except grpc.RpcError as error:
        return error
    raise AssertionError("it went well")


if __name__ == "__main__":
    serve() if sys.argv[1] == "serve" else call(sys.argv[2])
