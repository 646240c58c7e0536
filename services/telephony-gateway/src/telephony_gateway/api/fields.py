"""Fields that several requests share."""

from typing import Annotated

from cordboard_contracts import OwnerId
from cordboard_contracts.vocabulary import Identifier
from fastapi import Path
from pydantic import Field

PbxId = Annotated[OwnerId, Path(description="A PBX's id.", examples=["pbx-1"])]
DeviceId = Annotated[Identifier, Path(description="A device's id, as the PBX calls it.", examples=["1001"])]
Workspace = Annotated[OwnerId, Field(description="Who routes its calls.", examples=["main"])]
