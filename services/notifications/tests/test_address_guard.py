"""The guard against requests to ourselves, at the moment of connecting: a real client, a real server, a made-up DNS."""

import socket
import threading

import pytest
from aiohttp import web
from notifications.channels.webhook import WebhookChannel

PUBLIC, PUBLIC_6 = "93.184.216.34", "2606:2800:220:1::1"


def answer_of(*addresses, port=443):
    return [
        (
            socket.AF_INET6 if ":" in address else socket.AF_INET,
            socket.SOCK_STREAM,
            6,
            "",
            (address, port, 0, 0) if ":" in address else (address, port),
        )
        for address in addresses
    ]


@pytest.fixture
async def server():
    """Counts what reaches it."""
    reached = []

    async def handle(request):
        reached.append(request)
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1], reached
    await runner.cleanup()


async def post(url, lookup=None, *, allow_private=False, timeout_s=2.0):
    kinds = {"lookup": lookup} if lookup else {}
    async with WebhookChannel(timeout_s=timeout_s, allow_private=allow_private, **kinds) as channel:
        return await channel.post(url, {"webhook-id": "1"}, b"{}")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "0.0.0.0"],
)
async def test_literal_addresses(server, host):
    port, reached = server
    outcome = await post(f"http://{host}:{port}/")
    assert "is not a public address" in outcome.error
    assert not reached


@pytest.mark.parametrize("host", ["2130706433", "127.1", "017700000001", "0x7f000001", "0x7f.1"])
async def test_addresses_in_disguise(server, host):
    port, reached = server
    outcome = await post(f"http://{host}:{port}/")
    assert outcome.status is None
    assert not reached


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        [PUBLIC, "127.0.0.1"],
        [PUBLIC, "::ffff:127.0.0.1"],
        [PUBLIC_6, "10.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["::127.0.0.1"],
        ["169.254.169.254"],
    ],
)
async def test_names_with_any_address_that_is_not_public(server, addresses):
    port, reached = server
    outcome = await post(f"http://partner.example:{port}/", lambda _host, _port: answer_of(*addresses, port=port))
    assert "is not a public address" in outcome.error
    assert not reached


async def test_a_name_that_changes_its_mind(server):
    """DNS rebinding: public when looked at, loopback when connected to. There is only one look."""
    port, reached = server
    turns = iter([[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]])
    looked_up = []

    def lookup(host, _port):
        looked_up.append(host)
        return answer_of(*next(turns), port=port)

    async with WebhookChannel(timeout_s=0.3, allow_private=False, lookup=lookup) as channel:
        first = await channel.post(f"http://partner.example:{port}/", {}, b"{}")
        assert first.status is None  # nobody answers there, but it was the address that was looked up
        assert looked_up == ["partner.example"]
        channel._session.connector.clear_dns_cache()
        second = await channel.post(f"http://partner.example:{port}/", {}, b"{}")
    assert "127.0.0.1 is not a public address" in second.error
    assert not reached


async def test_localhost_by_the_real_resolver(server):
    port, reached = server
    outcome = await post(f"http://localhost:{port}/")
    assert "is not a public address" in outcome.error
    assert not reached


async def test_development_mode_reaches_loopback(server):
    port, reached = server
    assert (await post(f"http://localhost:{port}/", allow_private=True)).status == 200
    assert len(reached) == 1


async def test_an_unknown_name():
    def lookup(_host, _port):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    outcome = await post("https://nowhere.example/", lookup)
    assert outcome.status is None
    assert "Name or service not known" in outcome.error


async def test_a_lookup_that_hangs_takes_no_longer_than_an_attempt():
    release = threading.Event()

    def lookup(_host, _port):
        release.wait(10)
        return answer_of(PUBLIC)

    outcome = await post("https://slow.example/", lookup, timeout_s=0.2)
    release.set()
    assert outcome.error == "no answer within 0.2 s"
    assert outcome.duration_ms < 2000


@pytest.mark.parametrize("value", ["garbage", "-5", "1e9", "", "99999999999999999999", "Wed, 99 Foo 2026", "٣"])
async def test_nonsense_in_retry_after_is_no_reason_to_fail(value):
    async def busy(_request):
        return web.Response(status=503, headers={"Retry-After": value})

    app = web.Application()
    app.router.add_post("/", busy)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        outcome = await post(f"http://127.0.0.1:{runner.addresses[0][1]}/", allow_private=True)
    finally:
        await runner.cleanup()
    assert outcome.status == 503
    assert outcome.pause_s is None or 0 <= outcome.pause_s <= 43_200
