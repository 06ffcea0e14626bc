"""A dark variant of each figure that chapters draw, for the theme's dark pages.

A figure's PNG says where its pictures lie (`mixer_lib.figures.style.png_options`). Outside of these boxes the dark
variant turns the distance from white into a distance from the dark ground and keeps the hue; photographs and maps of
values stay as they are, since their colours mean something. The theme's classes `only-light` and `only-dark` show the
one or the other. A PNG that says nothing, as those of other tools, stays light.
"""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from PIL import Image

PICTURES = "mixer:pictures"
GROUND = (0x12, 0x12, 0x12)  # of the theme's dark pages
SLOPE = 0.97  # of lightness above the ground for each unit of distance from white: ink becomes nearly white
COLOUR = 2.0  # how much more chroma counts in that distance than lightness does: pale and strong colours both show
# Oklab, a colour space in which lightness and hue are what the eye sees (B. Ottosson, 2020)
TO_CONE = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                    [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                   [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip


def to_linear(colours):
    """sRGB 0-255 -> linear light 0-1."""
    part = np.asarray(colours, float) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def to_oklab(colours):
    """sRGB (..., 3), 0-255 -> Oklab."""
    return np.cbrt(to_linear(colours) @ TO_CONE.T) @ TO_LAB.T


def linear_of(lab):
    """Oklab -> linear light, which a screen can't show where it leaves 0-1."""
    return (lab @ np.linalg.inv(TO_LAB).T) ** 3 @ np.linalg.inv(TO_CONE).T


def darkened(colours):
    """Colours (N, 3) of a figure on white -> the same on the dark ground, uint8."""
    lab, ground = to_oklab(colours), to_oklab(GROUND)
    chroma = lab[:, 1:]
    distance = np.sqrt((1 - lab[:, 0]) ** 2 + COLOUR**2 * (chroma**2).sum(axis=1))
    lightness = np.minimum(ground[0] + SLOPE * distance, 1)
    near = np.minimum(distance / 0.3, 1)[:, None]  # what is nearly white takes the ground's own tint
    chroma = chroma + (1 - near) * ground[1:]
    share = np.ones((len(lab), 1))  # of the chroma that a screen can show at this lightness
    for _ in range(20):
        light = linear_of(np.column_stack([lightness, share * chroma]))
        outside = ((light < -1e-3) | (light > 1 + 1e-3)).any(axis=1)
        share[outside] *= 0.93
    light = np.clip(light, 0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)  # sRGB
    return np.round(255 * encoded).astype("uint8")


def dark_variant(pixels, boxes):
    """A figure (H, W, 3) on white -> on the dark ground; inside of the boxes, parts of width and height, as it was."""
    height, width = pixels.shape[:2]
    packed, places = np.unique(pixels.reshape(-1, 3) @ (1 << 16, 1 << 8, 1), return_inverse=True)  # few
    colours = np.column_stack([packed >> 16, packed >> 8 & 255, packed & 255])
    dark = darkened(colours)[places.reshape(-1)].reshape(pixels.shape)
    for left, top, right, bottom in boxes:
        # a pixel more on each side, and no white ones at the edge: it may lie on either side of a pixel
        rows = slice(max(round(top * height) - 1, 0), round(bottom * height) + 1)
        columns = slice(max(round(left * width) - 1, 0), round(right * width) + 1)
        kept = (pixels[rows, columns] < 250).any(axis=2, keepdims=True)
        kept[2:-2, 2:-2] = True
        dark[rows, columns] = np.where(kept, pixels[rows, columns], dark[rows, columns])
    return dark


def write_dark(path):
    """Write NAME-dark.png beside NAME.png; whether this could be done: only if the image says where pictures lie."""
    with Image.open(path) as image:
        if PICTURES not in getattr(image, "text", {}):
            return False
        boxes, pixels = json.loads(image.text[PICTURES]), np.asarray(image.convert("RGB"))
    Image.fromarray(dark_variant(pixels, boxes)).save(path.with_name(f"{path.stem}-dark.png"))
    return True


def with_variants(page, names):
    """The text of a page whose images in `names`, a set of files, have their dark variant beside them."""

    def both(found):
        opened, image, source, closed = found[1] or "", found[2], found[3], found[4] or ""
        if unquote(source).split("/")[-1] not in names or "only-light" in image:
            return found[0]
        bare = re.sub(r' class="[^"]*"', "", image)
        # an image that is not loaded yet keeps its place
        bare = re.sub(r"width: (\d+)px; height: (\d+)px;", r"\g<0> aspect-ratio: auto \1 / \2;", bare)

        def variant(look, loading=""):
            link = opened.replace('<a class="', f'<a class="{look} ', 1)
            return link + bare.replace("<img ", f'<img class="{look}"{loading} ', 1) + closed

        light, dark = variant("only-light"), variant("only-dark", ' loading="lazy"')
        dark = dark.replace(source, f"{source.removesuffix('.png')}-dark.png")  # the link's target, too
        # in an element of its own: the theme hides a caption that follows an image of the other mode
        return f'<span class="figure-variants">{light}{dark}</span>'

    image = r'(<img [^>]*?src="([^"]*_images/[^"]+\.png)"[^>]*>)'
    return re.sub(rf'(<a class="[^"]*image-reference"[^>]*>)?{image}(?(1)\s*(</a>))', both, page)


def add_variants(app, exception):
    """Write the dark variants of a finished book and show them."""
    if exception or app.builder.format != "html":
        return
    images = [path for path in Path(app.outdir, "_images").glob("*.png") if not path.stem.endswith("-dark")]
    names = {path.name for path in images if write_dark(path)}
    for page in Path(app.outdir).rglob("*.html") if names else ():
        text = page.read_text(encoding="utf-8")
        if (changed := with_variants(text, names)) != text:
            page.write_text(changed, encoding="utf-8")


def setup(app):
    app.connect("build-finished", add_variants)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
