"""Reads the settings for commands and role processes, or says in one line each which of them are wrong."""

from __future__ import annotations

import os
from typing import Any

from pydantic import ValidationError

from onebyone.runtime.store_urls import SCHEMES, url_fault
from onebyone.settings import Settings, setting_name


class BadSettings(Exception):
    """Settings with which nothing can start; each of `faults` names a setting and says why."""

    def __init__(self, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def read_settings(*needed: str, **typed: Any) -> Settings:
    """Return the settings with command-line options, which win over their variables.

    Raise `BadSettings` with all faults; that a setting among `needed` is not set is one.
    """
    faults: dict[str, str] = {}
    settings = None
    try:
        settings = Settings.with_options(**typed)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            field = str(fault["loc"][0]).lower().removeprefix("onebyone_")
            faults.setdefault(field, fault["msg"])
    for field in SCHEMES:
        # Where other settings are wrong there is no object to ask: read this one alone.
        url = getattr(settings, field) if settings else _text_of(field, typed)
        if field not in faults and (found := url_fault(field, url)) is not None:
            faults[field] = found
    missing = [name for name in needed if not (getattr(settings, name) if settings else _text_of(name, typed))]
    if settings is None or faults or missing:
        raise BadSettings(
            *(f"{setting_name(field, typed=field in typed)}: {text}" for field, text in faults.items()),
            *(f"{setting_name(field)} is not set; only `onebyone serve` runs without it" for field in missing),
        )
    return settings


def _text_of(field: str, typed: dict[str, Any]) -> str:
    names = {name.upper(): value for name, value in os.environ.items()}
    return str(typed.get(field) or names.get(setting_name(field), ""))
