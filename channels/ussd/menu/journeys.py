"""Every state there is, by key. A new journey adds its states here."""

from __future__ import annotations

from channels.ussd.menu.engine import Menu, State
from channels.ussd.menu.states.agent import PIN_STATES
from channels.ussd.menu.states.agent_float import FLOAT_STATES
from channels.ussd.menu.states.agent_sale import SALE_STATES
from channels.ussd.menu.states.home import HOME_STATES
from channels.ussd.menu.states.info import INFO_STATES
from channels.ussd.menu.states.links import LINK_STATES
from channels.ussd.menu.states.meter import METER_STATES
from channels.ussd.menu.states.other import OTHER_STATES
from channels.ussd.menu.states.pay import PAY_STATES
from channels.ussd.menu.states.promise import PROMISE_STATES
from channels.ussd.menu.states.report import REPORT_STATES

ALL_STATES: tuple[State, ...] = (
    *HOME_STATES,
    *PAY_STATES,
    *OTHER_STATES,
    *INFO_STATES,
    *PROMISE_STATES,
    *REPORT_STATES,
    *LINK_STATES,
    *METER_STATES,
    *PIN_STATES,
    *SALE_STATES,
    *FLOAT_STATES,
)


def menu() -> Menu:
    return Menu({state.key: state for state in ALL_STATES})
