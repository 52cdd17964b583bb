"""A box, its callers, and the product it talks to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mwolo.sandbox.box_rig import Box, PawapayCaller, Product, VodacomCaller


@pytest.fixture
def product() -> Iterator[Product]:
    product = Product()
    yield product
    product.close()


@pytest.fixture
def open_box(tmp_path: Path, product: Product) -> Iterator[Callable[..., Box]]:
    """Opens boxes with other settings than the usual ones; all are closed at the end."""
    opened: list[Box] = []

    def open_one(**settings: object) -> Box:
        opened.append(Box(tmp_path / "box", product, **settings))
        return opened[-1]

    yield open_one
    for box in opened:
        box.close()


@pytest.fixture
def box(open_box: Callable[..., Box]) -> Box:
    return open_box()


@pytest.fixture
def pawapay(box: Box) -> PawapayCaller:
    return PawapayCaller(box)


@pytest.fixture
def vodacom(box: Box) -> VodacomCaller:
    """A synchronous application with a live session."""
    caller = VodacomCaller(box)
    caller.log_in()
    return caller
