"""Customers, and the phones that may speak for them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from channels.api import paging
from channels.api.fields import PLAIN, AccountNumber, Asked, ById, Email, Id, Listed, Nothing, PageAsked, Phone
from channels.api.operation import AnyOperation, Call, Operation
from channels.api.problems import NOT_FOUND, STATE_CONFLICT, Refusal
from core.api_access.rules import Scope
from core.customers.links import LinkRefused
from core.services.enrolment import Enrolment, NewCustomer
from core.services.links import PhoneLinks
from core.services.register import Register

_TAG = "Customers"
_LINKS = "phone_links"


class Customer(BaseModel):
    id: Id
    name: str
    kind: str
    language: str
    email: str | None
    created_at: datetime


class CustomerList(Listed[Customer]):
    pass


class CustomersAsked(PageAsked):
    phone: Phone | None = None
    account_number: AccountNumber | None = None


class PhoneLink(BaseModel):
    """A phone that speaks for a customer. It is shown amounts where it is confirmed, `fresh_until` is still to come,
    and its role is holder or member."""

    id: Id
    phone: str
    customer_id: int
    role: Literal["holder", "member", "payer"]
    language: str | None
    confirmed_at: datetime | None
    fresh_until: datetime | None
    created_at: datetime


class PhoneLinkList(Listed[PhoneLink]):
    pass


class PhoneLinksAsked(PageAsked):
    phone: Phone | None = None
    customer_id: Id | None = None


class LinkOfCustomer(Asked):
    id: Id
    link_id: Id


class LinkRole(Asked):
    role: Literal["holder", "member", "payer"]


class NewCustomerAsked(Asked):
    """`language`: the one SMS and papers come in."""

    name: Annotated[str, Field(min_length=1, max_length=120, pattern=PLAIN)]
    kind: Literal["household", "business", "public"] = "household"
    language: Literal["fr", "sw", "ln", "kg", "lua", "en"] = "fr"
    email: Email | None = None


class NewPhoneLink(Asked):
    phone: Phone
    role: Literal["holder", "member", "payer"]


def operations(register: Register, links: PhoneLinks, enrolment: Enrolment) -> list[AnyOperation]:
    return [
        *_customers(register),
        _new_customer(register, enrolment),
        *_phones(register),
        *_changes(register, links),
        _removal(register, links),
    ]


def _customers(register: Register) -> list[AnyOperation]:
    def every(call: Call[Nothing, CustomersAsked, Nothing]) -> CustomerList:
        asked = call.query
        page = register.customers(
            paging.where(asked, of="customers"), phone=asked.phone, account_number=asked.account_number
        )
        return CustomerList.model_validate(paging.listed(page, Customer.model_validate, of="customers"))

    def one(call: Call[ById, Nothing, Nothing]) -> Customer:
        found = register.customer(call.path.id)
        if found is None:
            raise Refusal(NOT_FOUND)
        return Customer.model_validate(found)

    return [
        Operation(
            id="listCustomers",
            method="GET",
            path="/customers",
            tag=_TAG,
            summary="Customers; by phone or account number where one is given",
            scope=Scope.CUSTOMERS_READ,
            ids=Nothing,
            query=CustomersAsked,
            body=Nothing,
            answer=CustomerList,
            carry_out=every,
        ),
        Operation(
            id="getCustomer",
            method="GET",
            path="/customers/{id}",
            tag=_TAG,
            summary="One customer",
            scope=Scope.CUSTOMERS_READ,
            ids=ById,
            query=Nothing,
            body=Nothing,
            answer=Customer,
            carry_out=one,
        ),
    ]


def _new_customer(register: Register, enrolment: Enrolment) -> AnyOperation:
    def add(call: Call[Nothing, Nothing, NewCustomerAsked]) -> Customer:
        said = call.body
        new = NewCustomer(said.name, said.kind, said.language, said.email)
        made = enrolment.add_customer(call.new_id(), new, by=call.actor)
        return Customer.model_validate(register.customer(int(made)))

    return Operation(
        id="addCustomer",
        method="POST",
        path="/customers",
        tag=_TAG,
        summary="A new customer",
        scope=Scope.CUSTOMERS_WRITE,
        ids=Nothing,
        query=Nothing,
        body=NewCustomerAsked,
        answer=Customer,
        carry_out=add,
        status=201,
        key_needed=True,
        problems=(STATE_CONFLICT,),
    )


def _phones(register: Register) -> list[AnyOperation]:
    def every(call: Call[Nothing, PhoneLinksAsked, Nothing]) -> PhoneLinkList:
        asked = call.query
        page = register.phone_links(paging.where(asked, of=_LINKS), phone=asked.phone, customer_id=asked.customer_id)
        return PhoneLinkList.model_validate(paging.listed(page, PhoneLink.model_validate, of=_LINKS))

    def of_customer(call: Call[ById, PageAsked, Nothing]) -> PhoneLinkList:
        if register.customer(call.path.id) is None:
            raise Refusal(NOT_FOUND)
        page = register.phone_links(paging.where(call.query, of=_LINKS), customer_id=call.path.id)
        return PhoneLinkList.model_validate(paging.listed(page, PhoneLink.model_validate, of=_LINKS))

    return [
        Operation(
            id="listPhoneLinks",
            method="GET",
            path="/phone-links",
            tag=_TAG,
            summary="Phone links; of one phone or one customer where it is given",
            scope=Scope.CUSTOMERS_READ,
            ids=Nothing,
            query=PhoneLinksAsked,
            body=Nothing,
            answer=PhoneLinkList,
            carry_out=every,
        ),
        Operation(
            id="listPhoneLinksOfCustomer",
            method="GET",
            path="/customers/{id}/phone-links",
            tag=_TAG,
            summary="The phones of one customer",
            scope=Scope.CUSTOMERS_READ,
            ids=ById,
            query=PageAsked,
            body=Nothing,
            answer=PhoneLinkList,
            carry_out=of_customer,
        ),
    ]


def _changes(register: Register, links: PhoneLinks) -> list[AnyOperation]:
    def _there(call: Call[LinkOfCustomer, Nothing, LinkRole]) -> None:
        if register.phone_link(call.path.id, call.path.link_id) is None:
            raise Refusal(NOT_FOUND)

    def confirm(call: Call[LinkOfCustomer, Nothing, LinkRole]) -> PhoneLink:
        _there(call)
        try:
            links.office_confirms(call.path.id, call.path.link_id, role=call.body.role, by=call.actor)
        except LinkRefused:
            # Taken away since we looked.
            raise Refusal(NOT_FOUND) from None
        found = register.phone_link(call.path.id, call.path.link_id)
        if found is None:
            raise Refusal(STATE_CONFLICT, "The link was confirmed and taken away in the same moment.")
        return PhoneLink.model_validate(found)

    def link(call: Call[ById, Nothing, NewPhoneLink]) -> PhoneLink:
        if register.customer(call.path.id) is None:
            raise Refusal(NOT_FOUND)
        try:
            made = links.office_links(call.path.id, call.body.phone, role=call.body.role, by=call.actor)
        except LinkRefused as refused:
            raise Refusal(STATE_CONFLICT, refused.text) from None
        return PhoneLink.model_validate(register.phone_link(call.path.id, made))

    return [
        Operation(
            id="addPhoneLink",
            method="POST",
            path="/customers/{id}/phone-links",
            tag=_TAG,
            summary="Link a phone to a customer, confirmed at once",
            description="Whoever asks has seen who it is. A link that is there is confirmed. The phone gets an SMS.",
            scope=Scope.CUSTOMERS_WRITE,
            ids=ById,
            query=Nothing,
            body=NewPhoneLink,
            answer=PhoneLink,
            carry_out=link,
            problems=(STATE_CONFLICT,),
        ),
        Operation(
            id="confirmPhoneLink",
            method="POST",
            path="/customers/{id}/phone-links/{link_id}/confirm",
            tag=_TAG,
            summary="Confirm a phone link, renew a stale one, or give it another role",
            description="Whoever asks has seen who the person is. The phone gets an SMS.",
            scope=Scope.CUSTOMERS_WRITE,
            ids=LinkOfCustomer,
            query=Nothing,
            body=LinkRole,
            answer=PhoneLink,
            carry_out=confirm,
            problems=(STATE_CONFLICT,),
        ),
    ]


def _removal(register: Register, links: PhoneLinks) -> AnyOperation:
    def remove(call: Call[LinkOfCustomer, Nothing, Nothing]) -> PhoneLink:
        found = register.phone_link(call.path.id, call.path.link_id)
        if found is None:
            raise Refusal(NOT_FOUND)
        try:
            links.office_removes(call.path.id, call.path.link_id, by=call.actor)
        except LinkRefused:
            raise Refusal(NOT_FOUND) from None
        return PhoneLink.model_validate(found)

    return Operation(
        id="removePhoneLink",
        method="DELETE",
        path="/customers/{id}/phone-links/{link_id}",
        tag=_TAG,
        summary="Take a phone off a customer",
        description="Answers with the link as it was. From its next dial on the phone sees nothing.",
        scope=Scope.CUSTOMERS_WRITE,
        ids=LinkOfCustomer,
        query=Nothing,
        body=Nothing,
        answer=PhoneLink,
        carry_out=remove,
    )
