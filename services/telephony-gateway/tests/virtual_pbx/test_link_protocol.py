"""The switch link, spoken by hand: what PROTOCOL.md promises."""

import asyncio
import json
import random
from typing import Any

import pytest
from cordboard_chassis.testing.deployment import eventually
from telephony_gateway.virtual_pbx import messages
from telephony_gateway.virtual_pbx.core.scripts import Behaviour, CallerScript, Fixed, Keys, NameEncoding
from telephony_gateway.virtual_pbx.lines import MAX_LINE

DID = "4008100"
CALLER = CallerScript(did=DID, number="+8613800138000", name="陈晓明", attributes={"service": "PS"})


async def offered(pbx: Any, client: Any, script: CallerScript = CALLER) -> str:
    await pbx.control.place_call(script)
    return str((await client.until(event="offered"))["call"])


async def test_greeting_login_snapshot_events(pbx: Any) -> None:
    await pbx.control.set_device("1001")
    await pbx.control.place_call(CALLER)
    client = await pbx.connect()
    hello = await client.read()
    assert (hello["hello"], hello["protocol"], hello["pbx"]) == ("cordboard-virtual-pbx", 1, "pbx-1")
    assert await client.ask(command="snapshot") | {"at_us": 0} == {
        "reply": "c1",
        "ok": False,
        "reason": "login-first",
        "detail": "log in before anything else",
        "at_us": 0,
    }
    assert (await client.ask(command="login", name="test", protocol=1))["ok"]
    client.write(command="snapshot")
    begin, device, call, end = await client.through(snapshot="end")
    assert (begin["calls"], begin["devices"], begin["boot"]) == (1, 1, hello["boot"])
    assert device == {"snapshot": "device", "device": "1001", "state": "idle"}
    assert (call["dialled"], call["name"], call["attributes"]) == (DID, "陈晓明", {"service": "PS"})
    assert call["legs"] == [] and call["call"].startswith(hello["boot"])
    await pbx.control.place_call(CALLER)
    event = await client.read()
    assert (event["event"], event["seq"]) == ("offered", end["seq"] + 1)


async def test_every_line_is_as_messages_says(start_pbx: Any) -> None:
    pbx = await start_pbx(quirks=True)
    await pbx.control.set_device("1001", behaviour=Behaviour(answer_after=Fixed(0.0)))
    client = await pbx.connect()
    client.write(command="login", name="test", protocol=1)
    client.write(command="snapshot")
    await pbx.control.place_call(
        CallerScript(did=DID, keys=(Keys(0.0, "1"),), name="罗", name_encoding=NameEncoding.GBK, talk=Fixed(0.1))
    )
    seen = []
    while True:
        raw = await client.reader.readuntil(b"\n")
        if not raw.strip():
            continue
        line = messages.parse(raw)
        assert line is not None
        seen.append(type(line).__name__)
        if isinstance(line, messages.Offered):
            assert line.name == "罗"
            client.write(command="connect", call=line.call, leg="L1", device="1001", timeout_s=5)
        if isinstance(line, messages.Ended):
            break
    assert {"Hello", "Reply", "SnapshotBegin", "SnapshotEnd", "Digit", "LegRinging", "LegAnswered"} <= set(seen)


async def test_commands_are_done_once(pbx: Any) -> None:
    await pbx.control.set_device("1001", behaviour=Behaviour(answer_after=None))
    client = await pbx.login()
    call = await offered(pbx, client)
    connect = {"command": "connect", "call": call, "leg": "L1", "device": "1001", "timeout_s": 9}
    assert (await client.ask(id="same", **connect))["ok"]
    await client.until(event="leg_ringing")
    again = await client.ask(id="same", **connect)
    assert again["ok"] and again["again"]
    other = await client.ask(id="other", **connect)
    assert other["ok"] and "again" not in other
    refused = await client.ask(id="third", **{**connect, "device": "9999", "leg": "L2"})
    assert (refused["ok"], refused["reason"]) == (False, "no-such-device")
    assert (await client.ask(id="third", **connect))["reason"] == "no-such-device"
    counts = (await pbx.control.stats())["counts"]
    assert (counts["connects"], counts["connects_repeated"], counts["double_connects"]) == (2, 1, 0)


async def test_a_second_login_of_the_same_name_takes_over(pbx: Any) -> None:
    first = await pbx.login("gateway")
    other = await pbx.login("somebody else")
    second = await pbx.login("gateway")
    assert json.loads(await first.closed()) == {"bye": "replaced"}
    call = await offered(pbx, second)
    assert (await other.until(event="offered"))["call"] == call


async def test_who_watches_cannot_act_and_does_not_count_as_a_gateway(pbx: Any) -> None:
    watcher = await pbx.login("wallboard", watch=True)
    call = await offered(pbx, watcher)
    assert (await watcher.ask(command="hang_up", call=call))["reason"] == "watch-only"
    stats = await pbx.control.stats()
    assert (stats["live"]["clients"], stats["live"]["gateways"]) == (1, 0)


@pytest.mark.parametrize(
    ("login", "reason"),
    [({"protocol": 2, "name": "x"}, "protocol"), ({"protocol": 1, "name": ""}, "malformed")],
)
async def test_a_bad_login_ends_the_connection(pbx: Any, login: dict[str, Any], reason: str) -> None:
    client = await pbx.connect()
    await client.read()
    client.write(command="login", **login)
    reply, bye = (json.loads(line) for line in (await client.closed()).splitlines())
    assert (reply["ok"], reply["reason"], bye) == (False, reason, {"bye": reason})


async def test_malformed_lines_are_answered_and_forgiven(pbx: Any) -> None:
    client = await pbx.login()
    lines = [
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"command":"dance","id":"1"}',
        b'{"command":"hang_up","id":"1"}',
        b'{"command":"hang_up","id":"1","call":"x","extra":1}',
        b'{"command":"connect","id":"1","call":"x","leg":"l","device":"d","timeout_s":-1}',
        b'{"command":"connect","id":"1","call":"x","leg":"l","device":"d","timeout_s":1e999}',
        b"[" * 100_000,
        b"x" * (MAX_LINE + 1),
    ]
    for line in lines:
        client.writer.write(line + b"\n")
        reply = await client.read()
        assert (reply["reply"], reply["ok"], reply["reason"]) == (None, False, "malformed")
    assert (await client.ask(command="hang_up", call="x"))["reason"] == "no-such-call"
    assert (await pbx.control.stats())["link"]["malformed"] == len(lines)


async def test_random_bytes_do_no_harm(pbx: Any) -> None:
    steady = await pbx.login("steady")
    chance = random.Random(5)
    alphabet = [b"\n", b"{", b"}", b'"', b"\x00", b"\xff", b'{"command":', b'"login"', b"1", b'"id":"x"', b","]
    for _ in range(30):
        client = await pbx.connect()
        for _ in range(chance.randrange(1, 40)):
            parts = chance.choices(alphabet, k=chance.randrange(1, 60))
            client.writer.write(b"".join(parts))
        client.writer.write(b"\n")
        if chance.random() < 0.5:
            await client.closed()  # a malformed line before the login ends it
        else:
            client.writer.transport.abort()
    logged_in = await pbx.login("noisy")
    for _ in range(2000):
        logged_in.writer.write(bytes(chance.randrange(256) for _ in range(chance.randrange(20))) + b"\n")
    await logged_in.closed()  # a hundred in a row end it, and what is unread then costs the goodbye
    call = await offered(pbx, steady)
    assert (await steady.ask(command="hang_up", call=call))["ok"]
    assert (await steady.until(event="ended"))["by"] == "gateway"


async def test_a_client_that_does_not_read_is_disconnected_and_calls_go_on(start_pbx: Any) -> None:
    pbx = await start_pbx(buffer_bytes=64 * 1024)
    slow, good = await pbx.login("slow"), await pbx.login("good")
    big = CallerScript(did=DID, attributes={f"a{n}": "x" * 1000 for n in range(50)}, patience=Fixed(0.0))
    rows = 0

    async def drowned() -> bool:
        nonlocal rows
        await pbx.control.place_calls([(0.0, big)] * 20)
        while rows < 20:
            rows += (await good.read()).get("event") == "ended"
        rows = 0
        return bool((await pbx.control.stats())["link"]["slow_clients"] == 1)

    await eventually(drowned, timeout_s=20, poll_s=0)
    await slow.closed()
    assert (await pbx.control.stats())["live"]["clients"] == 1


async def test_a_silent_client_is_disconnected_and_a_beating_one_is_not(start_pbx: Any) -> None:
    pbx = await start_pbx(heartbeat_s=0.05)
    silent, alive = await pbx.login("silent"), await pbx.login("alive")

    async def beat() -> None:
        while True:
            alive.writer.write(b'{"command":"heartbeat"}\n')
            await asyncio.sleep(0.02)

    beating = asyncio.create_task(beat())
    assert b"heartbeat" in await silent.closed()
    for _ in range(6):
        assert "heartbeat" in await alive.read()
    beating.cancel()
    assert (await pbx.control.stats())["link"]["silent_clients"] == 1


async def test_what_ended_unheard_is_in_the_next_snapshot(start_pbx: Any) -> None:
    pbx = await start_pbx(speed=50.0)
    await pbx.control.set_device("1001", behaviour=Behaviour(answer_after=Fixed(5.0)))
    client = await pbx.login("gateway")
    call = await offered(pbx, client, CallerScript(did=DID, number="13800138000", talk=Fixed(10.0)))
    await client.ask(command="connect", call=call, leg="L1", device="1001", timeout_s=20)
    await client.until(event="leg_ringing")
    client.writer.transport.abort()
    unseen = CallerScript(did=DID, number="02161234567", patience=Fixed(5.0))
    await pbx.control.place_call(unseen)

    async def over() -> bool:
        return len(await pbx.control.records()) == 2

    await eventually(over)
    client = await pbx.connect()
    client.write(command="login", name="gateway", protocol=1)
    client.write(command="snapshot")
    rows = [row for row in await client.through(snapshot="end") if row.get("snapshot") == "past_call"]
    by_number = {row["number"]: row for row in rows}
    known, unknown = by_number["13800138000"], by_number["02161234567"]
    assert (known["call"], known["by"]) == (call, "customer")
    [leg] = known["legs"]
    assert (leg["leg"], leg["state"]) == ("L1", "connected")
    assert known["offered_us"] < leg["answered_us"] < known["ended_us"]
    assert (unknown["legs"], unknown["by"]) == ([], "customer")


async def test_times_and_timeouts_on_the_link_are_the_worlds(start_pbx: Any) -> None:
    pbx = await start_pbx(speed=100.0)
    await pbx.control.set_device("1001", behaviour=Behaviour(answer_after=None))
    client = await pbx.login()
    call = await offered(pbx, client)
    await client.ask(command="connect", call=call, leg="L1", device="1001", timeout_s=0.3)
    initiated = await client.until(event="leg_ringing")
    failed = await client.until(event="leg_failed")
    assert 250_000 < failed["at_us"] - initiated["at_us"] < 320_000


async def test_two_thousand_calls_fit_into_a_snapshot(pbx: Any) -> None:
    await pbx.control.place_calls([(0.0, CALLER)] * 2000)
    client = await pbx.connect()
    client.write(command="login", name="gateway", protocol=1)
    client.write(command="snapshot")
    rows = await client.through(snapshot="end")
    assert sum(row.get("snapshot") == "call" for row in rows) == 2000
