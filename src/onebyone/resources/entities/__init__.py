"""All entities, in the order in which documents list their services."""

from __future__ import annotations

from onebyone.resources.entities.advertiser import Advertiser
from onebyone.resources.entities.insertion_order import InsertionOrder
from onebyone.resources.entities.line_item import LineItem
from onebyone.resources.entities.member import Member
from onebyone.resources.entities.payment_rule import PaymentRule
from onebyone.resources.entities.placement import Placement
from onebyone.resources.entities.publisher import Publisher
from onebyone.resources.entities.site import Site
from onebyone.resources.entities.thirdparty_pixel import ThirdpartyPixel
from onebyone.resources.entities.tracker import Clicktracker, Imptracker
from onebyone.resources.entities.user import User
from onebyone.resources.entity import Entity

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
