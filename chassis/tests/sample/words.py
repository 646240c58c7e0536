"""What tests say to the sample service and ask of it."""

from datetime import UTC, datetime

from cordboard_chassis.testing.deployment import Deployed, rows
from cordboard_contracts import new_id
from cordboard_contracts.leads import Lead, LeadSource, LeadStatus, LeadSubmitted


def lead(name: str, workspace: str = "north") -> LeadSubmitted:
    """A lead whose name says what shall happen."""
    return LeadSubmitted(
        lead=Lead(
            lead_id=new_id(),
            workspace=workspace,
            org_path="/cn",
            source=LeadSource.WEB,
            status=LeadStatus.SUBMITTED,
            name=name,
            created_at=datetime.now(UTC),
        )
    )


async def counters(deployed: Deployed) -> dict[str, int]:
    """Every counter."""
    found = await rows(deployed.database, "SELECT name, value FROM counters")
    return {row["name"]: row["value"] for row in found}
