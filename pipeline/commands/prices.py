"""The price file that comes with the program."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import ConfigInvalid
from pipeline.measure.price import Prices


def shipped_prices() -> Prices:
    """configs/prices.yaml of the checkout, or the copy inside an installed package."""
    beside = Path(__file__).parents[2] / "configs" / "prices.yaml"
    text = beside.read_text("utf-8") if beside.is_file() else resources.files("pipeline").joinpath("prices.yaml").read_text()
    try:
        read = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ConfigInvalid(f"{beside} is no YAML: {error}") from error
    return Prices.parse(read, str(beside))
