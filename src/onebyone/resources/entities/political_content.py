"""`political_content` of an insertion order: who pays for political advertising and whom it is for."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from onebyone.resources.entity import Values
from onebyone.resources.fields import Body, Boolean, Text20, Text50, Text100, Text255, as_list
from onebyone.resources.unit_of_work import UnitOfWork

_REQUIRED = (
    *("billing_address_1", "billing_city", "billing_region", "billing_postal_code", "billing_country"),
    *("billing_phone_code", "billing_phone"),
    *("organization_name", "organization_address_1", "organization_city", "organization_region"),
    *("organization_postal_code", "organization_country", "organization_phone_code", "organization_phone"),
    *("treasurer_name", "payment_method_type", "political_objective", "is_independent_expenditure_committee"),
)
"""Fields without which creatives may not serve; an insertion order may be saved without them, as documented."""


class RegistrationForm(Body):
    """Where a registration form was uploaded to."""

    file_path: Text255


class PoliticalContent(Body):
    """What an election authority asks for; `billing_name` is the member's name."""

    shown: ClassVar[tuple[str, ...]] = ("billing_name", "is_ineligible")
    billing_address_1: Text255 | None = None
    billing_address_2: Text255 | None = None
    billing_city: Text100 | None = None
    billing_region: Text50 | None = None
    billing_postal_code: Text50 | None = None
    billing_country: Text50 | None = None
    billing_phone_code: Annotated[Text20, Field(max_length=10)] | None = None
    billing_phone: Text50 | None = None
    us_fecid: Text50 | None = None
    organization_name: Text100 | None = None
    organization_address_1: Text255 | None = None
    organization_address_2: Text255 | None = None
    organization_city: Text100 | None = None
    organization_region: Text50 | None = None
    organization_postal_code: Text50 | None = None
    organization_country: Text50 | None = None
    organization_phone_code: Annotated[Text20, Field(max_length=10)] | None = None
    organization_phone: Text50 | None = None
    treasurer_name: Text100 | None = None
    payment_method_type: Literal["Direct Debit", "Check", "Credit Card", "Other"] | None = None
    payment_method_other: Text50 | None = None
    political_objective: Text255 | None = None
    is_independent_expenditure_committee: Boolean | None = None
    registration_form: Annotated[list[RegistrationForm], Field(max_length=100), BeforeValidator(as_list)] | None = None
    government_level: Literal["state or local", "federal", "both"] = "both"
    is_accuracy_acknowledged: Boolean = False


async def check_political_content(work: UnitOfWork, values: Values, stored: Values | None, advertiser: Values) -> None:
    """Check who may have political content, and complete it with the name of the member."""
    content = values["political_content"]
    old = None if stored is None else stored["doc"].get("political_content")
    if content is None:
        return
    editable = values["is_running_political_ads"] and advertiser["doc"].get("is_running_political_ads")
    if not editable and content != {name: value for name, value in (old or {}).items() if name in content}:
        text = "is_running_political_ads of the insertion order and of its advertiser must be true"
        work.conflict("political_content", text)
        return
    member = await work.member_row()
    content["billing_name"] = member["name"]


def show_political_content(content: Values | None) -> Values | None:
    """Return political content as it is shown, with whether it lacks what creatives need to serve."""
    if content is None:
        return None
    complete = all(content.get(name) is not None for name in _REQUIRED) and content["is_accuracy_acknowledged"]
    other = content.get("payment_method_type") == "Other" and not content.get("payment_method_other")
    return {"billing_name": content["billing_name"], **content, "is_ineligible": bool(other or not complete)}
