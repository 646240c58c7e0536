"""The control link: what it refuses, and what its books say."""

import asyncio
import json
from typing import Any

import pytest
from cordboard_chassis.testing.deployment import eventually
from telephony_gateway.virtual_pbx.control import ControlClient, ControlLost, ControlRefused
from telephony_gateway.virtual_pbx.core.scripts import (
    Behaviour,
    CallerScript,
    Exponential,
    Fixed,
    HoldHabit,
    Keys,
    MoveHabit,
    MoveKind,
    PartyScript,
    Side,
    Uniform,
)

DID = "4008100"


@pytest.mark.parametrize(
    ("op", "fields", "where"),
    [
        ("dance", {}, "op"),
        ("place_calls", {"calls": [{"did": DID, "talk": -1}]}, "calls.0.talk"),
        ("place_calls", {"calls": [{"did": DID, "talk": {"low_s": 1}}]}, "calls.0.talk"),
        ("place_calls", {"calls": [{"did": DID, "colour": "red"}]}, "calls.0.colour"),
        ("place_calls", {"calls": [{"did": DID, "keys": [{"after_s": 0, "digits": "x"}]}]}, "calls.0.keys.0.digits"),
        ("set_devices", {"devices": [{"device": "1", "behaviour": {"ignore_chance": 2}}]}, "ignore_chance"),
        ("crash", {"down_s": -1}, "down_s"),
        ("inject", {"base64": "%"}, "base64"),
        ("agent", {"device": "1001", "do": "press"}, "digits"),
    ],
)
async def test_nonsense_is_refused_with_the_field(pbx: Any, op: str, fields: dict[str, Any], where: str) -> None:
    await _talk(pbx)
    with pytest.raises(ControlRefused) as refusal:
        await pbx.control.request(op, **fields)
    assert refusal.value.reason == "malformed" and where in refusal.value.detail


@pytest.mark.parametrize(
    "raw", [b"{\n", b"\xff\n", b"[" * 50_000 + b"\n", b"x" * (9 * 1024 * 1024) + b"\n", b'{"id":[]}\n']
)
async def test_nonsense_on_the_line_is_answered(pbx: Any, raw: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", pbx.control_port)
    writer.write(raw)
    answer = json.loads(await reader.readline())
    assert (answer["id"], answer["ok"], answer["reason"]) == (None, False, "malformed")
    writer.close()


async def test_everything_a_script_can_say_goes_through(pbx: Any) -> None:
    move = MoveHabit(0.5, MoveKind.CONFERENCE, Uniform(1, 2), ("1002",), consult=Exponential(3.0))
    behaviour = Behaviour(Exponential(2.0), 0.1, 0.2, 0.5, Uniform(1, 2), 1.5, HoldHabit(1.0, Fixed(1), Fixed(2)), move)
    await pbx.control.set_devices({"1001": behaviour, "1002": Behaviour(answer_after=None)})
    await pbx.control.set_party("*", PartyScript(busy=True, hang_up=Side.AGENT))
    script = CallerScript(
        did=DID,
        number="anonymous",
        name="陈",
        diverted_from="4008999",
        attributes={"a": "b"},
        keys=(Keys(1.0, "12#"),),
        patience=Exponential(60.0),
        talk=Uniform(1.0, 2.0),
        hang_up=Side.AGENT,
        retries=2,
        retry_after_s=5.0,
        tag="t1",
    )
    await pbx.control.place_call(script)
    switch = pbx.inside.exchange.switch
    assert switch.devices["1001"].behaviour == behaviour
    assert switch.parties["*"] == PartyScript(busy=True, hang_up=Side.AGENT)
    [call] = switch.calls.values()
    assert call.script == script


async def _talk(pbx: Any) -> tuple[Any, str]:
    """A conversation at device 1001."""
    await pbx.control.set_device("1001", behaviour=Behaviour(answer_after=None))
    await pbx.control.set_device("1002", behaviour=Behaviour(answer_after=Fixed(0.0)))
    client = await pbx.login()
    await pbx.control.place_call(CallerScript(did=DID, tag="t"))
    call = (await client.until(event="offered"))["call"]
    await client.ask(command="connect", call=call, leg="L1", device="1001", timeout_s=30)
    await client.until(event="leg_ringing")
    await pbx.control.agent("1001", "answer")
    await client.until(event="leg_answered")
    return client, call


async def test_agents_and_customers_by_hand(pbx: Any) -> None:
    client, call = await _talk(pbx)
    assert await pbx.control.agent("1001", "hold") == call
    await client.until(event="leg_held", leg="L1")
    await pbx.control.agent("1001", "retrieve")
    await client.until(event="leg_retrieved", leg="L1")
    await pbx.control.agent("1001", "press", digits="5")
    assert (await client.until(event="digit"))["leg"] == "L1"
    await pbx.control.customer_presses(call, "7")
    assert "leg" not in await client.until(event="digit", digit="7")
    await pbx.control.agent("1001", "transfer", to="1002")
    assert (await client.until(event="transferred"))["from_leg"] == "L1"
    await client.until(event="leg_answered", device="1002")
    [live] = await pbx.control.live()
    assert (live["call"], live["tag"]) == (call, "t")
    await pbx.control.customer_hangs_up(call)
    assert (await client.until(event="ended"))["by"] == "customer"
    with pytest.raises(ControlRefused, match="no-such-call"):
        await pbx.control.customer_hangs_up(call)
    with pytest.raises(ControlRefused, match="wrong-state"):
        await pbx.control.agent("1001", "hang_up")
    await pbx.control.agent("1001", "use_privately", for_s=0.05)
    await client.until(event="device", device="1001", state="in_use")
    await client.until(event="device", device="1001", state="idle")
    outbound = await pbx.control.agent("1001", "dial", number="+85221234567")
    assert (await client.until(event="offered"))["call"] == outbound


async def test_records_and_samples_come_in_pages(start_pbx: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pbx = await start_pbx(speed=100.0)
    monkeypatch.setattr("telephony_gateway.virtual_pbx.control.MAX_PAGE", 7)
    await pbx.control.set_device("1001", behaviour=Behaviour(answer_after=Fixed(0.0)))
    client = await pbx.login()
    await pbx.control.place_calls([(0.0, CallerScript(did=DID, talk=Fixed(1.0), tag=str(n))) for n in range(20)])
    for number in range(20):
        call = (await client.until(event="offered"))["call"]
        client.write(command="connect", call=call, leg=f"L{number}", device="1001", timeout_s=30)
        client.write(command="hang_up", call=call)

    async def all_over() -> list[Any] | None:
        records = await pbx.control.records()
        return records if len(records) == 20 else None

    records = await eventually(all_over)
    assert [record["tag"] for record in records] == [str(n) for n in range(20)]
    assert [record["tag"] for record in await pbx.control.records(after=17)] == ["17", "18", "19"]
    samples = await pbx.control.samples("assignment")
    assert len(samples) == 20 and all(0 < sample["latency_us"] < 5_000_000 for sample in samples)


async def test_latency_is_taken_from_the_first_telling_to_the_first_connect(pbx: Any) -> None:
    await pbx.control.set_device("1001", behaviour=Behaviour(answer_after=Fixed(0.0)))
    watcher = await pbx.login("watcher", watch=True)
    await pbx.control.place_call(CallerScript(did=DID))
    call = (await watcher.until(event="offered"))["call"]
    assert (await pbx.control.stats())["latency_ms"]["assignment_all"]["n"] == 0
    client = await pbx.login("gateway")
    await client.ask(command="connect", call=call, leg="L1", device="1001", timeout_s=30)
    await client.until(event="leg_answered")
    await pbx.control.place_call(CallerScript(did=DID))
    waiting = (await client.until(event="offered"))["call"]
    await pbx.control.agent("1001", "hang_up")
    await client.until(event="leg_ended")
    await client.ask(command="connect", call=waiting, leg="L2", device="1001", timeout_s=30)
    first, second = await pbx.control.samples("assignment")
    assert (first["call"], first["free_devices"], first["waiting_before"]) == (call, 1, 0)
    assert (second["call"], second["free_devices"]) == (waiting, 0)
    [freed] = await pbx.control.samples("freed")
    assert (freed["device"], freed["call"], freed["waiting"]) == ("1001", waiting, 1)
    latency = (await pbx.control.stats())["latency_ms"]
    assert (latency["assignment"]["n"], latency["assignment_all"]["n"], latency["freed"]["n"]) == (1, 2, 1)


async def test_a_client_that_lost_its_pbx_says_so(pbx: Any) -> None:
    control = await ControlClient.connect("127.0.0.1", pbx.control_port, timeout_s=5.0)
    pbx.inside.control.close()
    with pytest.raises(ControlLost):
        await control.stats()
    with pytest.raises(ControlLost):
        await ControlClient.connect("127.0.0.1", pbx.control_port, timeout_s=5.0)
