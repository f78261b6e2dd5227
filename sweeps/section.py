"""The frozen tables that a spec is made of."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A frozen table that refuses keys it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)
