"""Small values that the events of several services share."""

from typing import Annotated

from pydantic import Field, StringConstraints

E164 = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{3,14}$")]
"""A phone number as in ITU-T E.164: ``+8613800138000``."""

Name = Annotated[str, StringConstraints(max_length=200)]
"""What a person or an organisation is called, as written by its bearer; may be empty."""

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._:@-]{0,99}$")]
"""Id that a user chose: an agent's, a queue's, a device's, a skill's."""

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
"""A language tag as in BCP 47: ``zh-CN``, ``zh-Hant``, ``en``."""

Territory = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,6}){0,4}$")]
"""Hierarchical territory: ISO 3166 country, then smaller areas: ``CN-31-0115``."""

SkillLevel = Annotated[int, Field(ge=0, le=100)]
"""How well an agent can do a thing; 0 is not at all."""

Attributes = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")],
        Annotated[str, StringConstraints(max_length=1000)],
    ],
    Field(max_length=50),
]
"""What the IVR, a form or a partner said beyond the fixed fields."""
