"""The API's table: every entity that it serves."""

from __future__ import annotations

from onebyone.api.entities.advertiser import Advertiser
from onebyone.api.entities.insertion_order import InsertionOrder
from onebyone.api.entities.line_item import LineItem
from onebyone.api.entities.member import Member
from onebyone.api.entities.payment_rule import PaymentRule
from onebyone.api.entities.placement import Placement
from onebyone.api.entities.publisher import Publisher
from onebyone.api.entities.site import Site
from onebyone.api.entities.thirdparty_pixel import ThirdpartyPixel
from onebyone.api.entities.tracker import Clicktracker, Imptracker
from onebyone.api.entities.user import User
from onebyone.api.entity import Entity

ENTITIES: tuple[Entity, ...] = (
    Member(),
    User(),
    Advertiser(),
    InsertionOrder(),
    LineItem(),
    Publisher(),
    Site(),
    Placement(),
    PaymentRule(),
    Imptracker(),
    Clicktracker(),
    ThirdpartyPixel(),
)
