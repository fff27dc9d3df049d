"""The price file that comes with the program."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import ConfigInvalid
from pipeline.measure.price import Prices


def prices_file() -> Path:
    """configs/prices.yaml of the checkout, or the copy inside an installed package."""
    beside = Path(__file__).parents[2] / "configs" / "prices.yaml"
    return beside if beside.is_file() else Path(str(resources.files("pipeline").joinpath("prices.yaml")))


def shipped_prices() -> Prices:
    path = prices_file()
    try:
        read = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    except YAMLError as error:
        raise ConfigInvalid(f"{path} is no YAML: {error}") from error
    return Prices.parse(read, str(path))


def unpriced(model: str) -> str:
    """What to say of a model without a price."""
    return f"{model} has no price in {prices_file()}: what it costs is not known, and _cost_usd will be null"
