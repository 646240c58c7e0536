"""Our own rules find what they are for, and nothing else."""

from pathlib import Path

import pytest

from dev.lint_rules import findings

USECASE = "services/routing/src/routing/usecases/offer.py"
ENGINE = "services/routing/src/routing/engine/engine.py"
CONSUMERS = "services/routing/src/routing/consumers.py"
DRIVER = "services/telephony-gateway/src/telephony_gateway/drivers/virtual.py"


@pytest.mark.parametrize(
    ("rule", "path", "content"),
    [
        ("broker", DRIVER, "broker = RabbitBroker(url)"),
        ("broker", "tests/test_bus.py", "broker = rabbit.RabbitBroker(url)"),
        ("commit", USECASE, "async def offer(uow): await uow.commit()"),
        ("commit", "services/routing/src/routing/api/agents.py", "connection.commit()"),
        ("sleep", USECASE, "async def wait(rule): await asyncio.sleep(rule.wrap_up_s)"),
        ("sleep", CONSUMERS, "async def wait(due, now): await sleep((due - now).total_seconds())"),
        ("names", DRIVER, "exchange = 'telephony.events'"),
        ("names", DRIVER, "exchange = f'{service}.commands'"),
        ("names", DRIVER, "parked = f'{queue}.parked'"),
        ("names", CONSUMERS, "QUEUES = [Queue('routing.customers', {})]"),
        ("clock", ENGINE, "due = datetime.now(UTC)"),
        ("clock", ENGINE, "name = uuid4()"),
        ("vague", "services/routing/src/routing/utils.py", ""),
    ],
)
def test_a_broken_rule_is_found(rule: str, path: str, content: str) -> None:
    assert [found.rule for found in findings(Path(path), content)] == [rule]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("chassis/src/cordboard_chassis/messaging/broker.py", "broker = RabbitBroker(url)"),
        (DRIVER, "async def reconnect(pause_s): await asyncio.sleep(pause_s)"),
        (USECASE, "async def look(): await asyncio.sleep(LOOK_S)"),
        (USECASE, "async def look(self): await asyncio.sleep(self._settings.poll_s)"),
        (CONSUMERS, "QUEUES = [Queue(names.queue('routing', 'customers'), {})]"),
        ("services/routing/src/routing/api/agents.py", "kind = 'routing.assignment.offered.v1'"),
        ("services/routing/tests/test_calls.py", "await asyncio.sleep(delay)"),
        ("services/routing/src/routing/owner.py", "now = datetime.now(UTC)"),
        (ENGINE, "name = uuid4()  # rule: clock (shows how a rule is waived)"),
    ],
)
def test_what_is_allowed_is_not_found(path: str, content: str) -> None:
    assert list(findings(Path(path), content)) == []


def test_a_waiver_needs_a_reason() -> None:
    content = "name = uuid4()  # rule: clock ()"
    assert [found.rule for found in findings(Path(ENGINE), content)] == ["clock"]
