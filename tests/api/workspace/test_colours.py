"""The stages' colours are told apart by everyone: by three kinds of colour blindness too, and against the surface."""

import re

import pytest

from api.workspace.mounting import ASSETS_DIR

Colour = tuple[float, float, float]
Matrix = tuple[Colour, Colour, Colour]
# Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB.
SIGHTS: dict[str, Matrix] = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "no green": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "no blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
NEAREST = 0.045
"""Distance in OKLab: about twice what is just told apart side by side."""


def read_tokens(theme: str) -> dict[str, str]:
    """Return the colours of a theme; dark ones stand over light ones."""
    sheet = (ASSETS_DIR / "workspace.css").read_text(encoding="utf-8")
    blocks = [
        re.search(r":root \{(.*?)\}", sheet, re.DOTALL),
        re.search(r":root\[data-theme=\"dark\"\] \{(.*?)\}", sheet, re.DOTALL),
    ]
    found: dict[str, str] = {}
    for block in blocks[: 2 if theme == "dark" else 1]:
        assert block is not None
        found |= dict(re.findall(r"(--[\w-]+): (#\w{6});", block[1]))
    return found


def to_linear(code: str) -> Colour:
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return tuple(v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (red, green, blue))  # type: ignore[return-value]


def to_oklab(colour: Colour) -> Colour:
    red, green, blue = colour
    long = 0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue
    medium = 0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue
    short = 0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue
    x, y, z = (max(cone, 0) ** (1 / 3) for cone in (long, medium, short))
    return (
        0.2104542553 * x + 0.7936177850 * y - 0.0040720468 * z,
        1.9779984951 * x - 2.4285922050 * y + 0.4505937099 * z,
        0.0259040371 * x + 0.7827717662 * y - 0.8086757660 * z,
    )


def see(colour: Colour, sight: str) -> Colour:
    red, green, blue = (
        min(1.0, max(0.0, sum(a * b for a, b in zip(row, colour, strict=True)))) for row in SIGHTS[sight]
    )
    return to_oklab((red, green, blue))


def luminance(code: str) -> float:
    red, green, blue = to_linear(code)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sight", SIGHTS)
def test_no_two_stages_look_alike(theme: str, sight: str) -> None:
    """Any two stages differ, and lightness rises from the first to the last, so that even grey tells their order."""
    tokens = read_tokens(theme)
    seen = [see(to_linear(tokens[f"--stage-{number}"]), sight) for number in range(1, 9)]
    for index, one in enumerate(seen):
        for other in seen[:index]:
            assert sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5 > NEAREST
    lightness = [colour[0] for colour in seen]
    assert lightness == sorted(lightness)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("mark", ["accent", "won", "line-strong"])
def test_marks_stand_out_from_the_surface(theme: str, mark: str) -> None:
    """Lines and bars have the contrast of 3 that WCAG asks of graphics."""
    tokens = read_tokens(theme)
    high, low = sorted((luminance(tokens[f"--{mark}"]), luminance(tokens["--surface"])), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 3
