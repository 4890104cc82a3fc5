"""What the text of a user agent shows without any list: the shape of browsers, web views, devices and robots."""

from __future__ import annotations

import re

_DEVICE_MODEL = re.compile(
    r"(?P<version>\bAndroid[ /-]?[\w.]*;(?: ?U;)?(?: ?[a-z]{2}[-_][a-z]{2};?)?)"
    r" ?(?:[^;()/]|\([^()]*\))*?(?:build/[^;()]*)?(?=[;)])",
    re.IGNORECASE,
)
"""The name and the build of a device, which manufacturers choose: `HTC Butterfly`, `Cubot`, `Build/AP3A.240617.008`."""

_APPS = re.compile(r"\bSogou(?:MobileBrowser|MSE|Search|Explorer)\b|\bFBAN/WhatsApp\w*")
"""Browsers and apps that bear the name by which the list of robots knows the crawler of the same company."""

_WEB_VIEW = re.compile(
    r"; wv\)|\((?:iPhone|iPad|iPod)\b[^()]*\) AppleWebKit/[\d.]+ \(KHTML, like Gecko\)"
    r"(?: Version/[\d.]+)? Mobile/\w+\b(?! Safari)"
)
"""An app's web view: on Android by its documented mark, on iOS because only browsers say `Safari`."""

_ROBOT_WORDS = re.compile(
    r"(?:(?<!cu)bot|crawler|spider|scraper|fetcher)(?![a-z])|\bcrawl|https?:|\+\(?www\.|\w@\w[\w.-]*\.[a-z]{2,}\b"
    r"|\bheadless|\burl ?preview|\blink ?(?:check|preview)",
    re.IGNORECASE,
)
"""How robots introduce themselves: by what they are, or with an address to complain to. Cubot makes phones."""

_BROWSER_OR_DEVICE = re.compile(
    r"browser|Android|\b(?:AppleWebKit|QtWebKit|Gecko|Goanna|KHTML|Trident|MSIE|Presto|Opera|OPR|Konqueror|NetFront"
    r"|Obigo|Teleca|ANTGalio|Espial|Servo|UCWEB|Windows|Win64|Macintosh|Mac ?OS|Linux|X11|OpenVMS|CrOS|iPhone\w*"
    r"|iPad\w*|iPod\w*|iOS|tvOS|watchOS|Watch ?OS|Watch\d|Darwin|CFNetwork|AppleCoreMedia|AirPlay|Dalvik|Adr|Tizen"
    r"|HarmonyOS|OpenHarmony|KaiOS|Symbian|BlackBerry|BB10|PlayBook|MeeGo|Palm ?OS|BREW|MIDP|CLDC|J2ME|MAUI|MRE|MMP|WAP"
    r"|Profile|Nokia|SonyEricsson|Samsung|LGE?|Web0S|webOS|HbbTV|Hybridcast|CE-HTML|YouView\w*|DLNADOC|NetCast|VIDAA"
    r"|ViziOS|BRAVIA|KreaTV|SmartHub|CrKey|Roku|AFT\w+|Gibbon|Google Fiber|LibVLC|ExoPlayer\w*|PlayStation|Nintendo"
    r"|Xbox|Echo|Sonos)(?![a-z])|smart-?tv|apple ?tv|(?:TV|DTV|UHD|[_ ]HD)\b|FBA[NV]/",
    re.IGNORECASE,
)
"""An engine, an operating system, a device that shows pages or video, or the word itself."""


def mask_device_names(agent: str) -> str:
    """Return the agent without names of devices and apps that the list of robots takes for robots."""
    return _APPS.sub("", _DEVICE_MODEL.sub(r"\g<version> ", agent))


def is_web_view(agent: str) -> bool:
    """Return whether an app shows a page to a person: its agent names the app, whose link preview has the same name."""
    return _WEB_VIEW.search(agent) is not None


def introduces_robot(masked: str) -> bool:
    """Return whether an agent, without its device names, says that it is a robot or where to complain about it."""
    return _ROBOT_WORDS.search(masked) is not None


def names_browser_or_device(agent: str) -> bool:
    """Return whether an agent names a browser, an operating system or a device. `Mozilla/5.0` alone names none."""
    return _BROWSER_OR_DEVICE.search(agent) is not None
