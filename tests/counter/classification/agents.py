"""Agents to classify: those of robots from the list itself, those of people from packages that collect them."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import yaml
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

LISTED: list[tuple[str, tuple[str, ...]]] = [
    (instance, tuple(entry["tags"])) for entry in CRAWLER_USER_AGENTS_DATA for instance in entry["instances"]
]
"""Every agent of the list with the tags of its entry."""

DEVICES = ("console", "car_browser", "tv-3", "tv-4", "tv-5", "tv-6", "smartphone-42", "smartphone-43", "smart_display")
"""Files of device-detector: consoles, cars, televisions, the newest telephones with their web views."""

ANDROID = (
    "Mozilla/5.0 (Linux; Android 15; SM-S928B Build/UP1A.231005.007; wv)"
    " AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/142.0.7444.102 Mobile Safari/537.36"
)
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)

APPS = (
    "Instagram 406.0.0.58.159 Android (35/15; 480dpi; 1080x2400; OPPO; CPH2557; OP573DL1; mt6833; en_GB; 822918295)",
    "[FB_IAB/FB4A;FBAV/490.0.0.63.82;IABMV/1;]",
    "[FBAN/FBIOS;FBAV/490.0.0.63.82;FBDV/iPhone15,2]",
    "[FBAN/WhatsAppSMBIPhone;FBAV/2.25]",
    "MetaIAB Facebook",
    "WhatsApp/2.25.22.78",
    "Viber/25.9.0.2",
    "Line/15.19.1/IAB",
    "KAKAOTALK/25.10.0 (INAPP)",
    "NAVER(inapp; search; 2000; 12.8.53; 15PROMAX)",
    "Snapchat/13.55.0.41 (like Safari/8619.1.26.30.5, panda)",
    "[Pinterest/iOS]",
    "[LinkedInApp]/9.30",
    "Twitter for iPhone/10.70",
    "trill_360801 BytedanceWebview/d8a21c6 musical_ly_36.8.1 JsSdk/1.0 NetType/WIFI",
    "MicroMessenger/8.0.50.2701(0x28003233) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN",
    "Tumblr/Android/36.1",
    "Feedly/123",
    "Notion/4.0",
    "Flipboard/4.3",
    "Reddit/Version 2025.45.0/Build 1234",
    "GSA/340.3.696",
    "DuckDuckGo/5",
    "Ddg/18.6",
    "(Ecosia android@142.0.7444.102)",
    "coc_coc_browser/130.0.200",
    "YaBrowser/25.10.4 YaApp_iOS/2510",
    "SogouMobileBrowser/6.1.5",
    "SogouSearch Android1.0 version3.0 AppVersion/5903",
    "baiduboxapp/13.70.0.10 (Baidu; P1 15) A95B2008/1",
    "Telegram-Android/11.4.2 (Samsung SM-S928B; Android 15)",
    "Zalo android/24",
)
"""What apps and browsers append. Each app also sends previews under its name, or its company runs a crawler."""

IN_DEVICE_NAMES = (
    "Cubot NOTE 50",
    "HTC_Butterfly Build/JSS15J",
    "ViewSonic-ViewPad7e Build/ERE27",
    "Fever_Plus",
    "Expanse",
)
"""Names of devices that contain what the list takes for the name of a robot."""


def people() -> dict[str, str]:
    """Return agents of people with the collection that each is from."""
    found = {agent: "apps" for app in APPS for agent in (f"{ANDROID} {app}", f"{IPHONE} {app}")}
    found |= {
        WINDOWS.replace("Windows NT 10.0; Win64; x64", f"Linux; Android 13; {name}"): name for name in IN_DEVICE_NAMES
    }
    browsers = files("fake_useragent").joinpath("data/browsers.jsonl").read_text()
    found |= {json.loads(line)["useragent"].strip('"'): "fake-useragent" for line in browsers.splitlines()}
    for name in DEVICES:
        text = files("device_detector").joinpath(f"tests/fixtures/upstream/{name}.yml").read_text()
        rows: list[dict[str, Any]] = yaml.load(text, yaml.CSafeLoader)
        found |= {str(row["user_agent"]): name for row in rows}
    return found
