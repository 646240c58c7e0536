"""What comes in: a person's details, from a form or from a line of a file."""

from typing import Annotated, Any

from cordboard_chassis.http.app import Body
from cordboard_chassis.phones import PhoneText, Region, normalise
from cordboard_contracts import OrgPath, OwnerId
from cordboard_contracts.vocabulary import Attributes, Language, Territory
from pydantic import Field, StringConstraints

from leads.domain.leads import Profile

NameText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
EmailText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=320)]
InterestText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Priority = Annotated[int, Field(ge=0, le=1000, description="The more, the sooner it is routed.")]
RegionField = Annotated[
    Region | None, Field(description="Country of a national `phone`: ISO 3166-1 alpha-2, such as `CN`.")
]


class PersonForm(Body):
    """A person who may become a customer. A phone number or an e-mail address is needed."""

    name: NameText = ""
    company: NameText = ""
    phone: PhoneText | None = None
    region: RegionField = None
    email: EmailText | None = None
    language: Language | None = None
    territory: Territory | None = None
    interest: InterestText = Field(default="", description="What they want.")
    attributes: Attributes = Field(default_factory=dict)
    priority: Priority = 0

    def profile(self) -> Profile:
        """As the domain knows it.

        Raises:
            Invalid: the number is none.
        """
        return Profile(
            name=self.name,
            company=self.company,
            phone=None if self.phone is None else normalise(self.phone, self.region, "phone"),
            email=self.email,
            language=self.language,
            territory=self.territory,
            interest=self.interest,
            attributes=self.attributes,
            priority=self.priority,
        )


class LeadForm(PersonForm):
    """A lead to be made."""

    org_path: OrgPath | None = Field(default=None, description="Where it belongs; the caller's own by default.")
    workspace: OwnerId | None = Field(default=None, description="Where it is routed; the service's default otherwise.")


class LeadChanges(Body):
    """Fields to change; those that are missing stay. `null` empties a field; `attributes` are replaced as a whole."""

    name: NameText = ""
    company: NameText = ""
    phone: PhoneText | None = None
    region: RegionField = None
    email: EmailText | None = None
    language: Language | None = None
    territory: Territory | None = None
    interest: InterestText = ""
    attributes: Attributes = Field(default_factory=dict)
    priority: Priority = 0

    def changes(self) -> dict[str, Any]:
        """Those that were sent, as the domain knows them.

        Raises:
            Invalid: the number is none.
        """
        sent = {name: getattr(self, name) for name in self.model_fields_set if name != "region"}
        if sent.get("phone") is not None:
            sent["phone"] = normalise(sent["phone"], self.region, "phone")
        return sent
