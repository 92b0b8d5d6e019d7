"""Draws the pictures of the seed and uploads them through the Storage API.

`python -m scripts.local.seed_media [directory]`: with a directory the pictures are written there
and nothing is uploaded. Reads SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY from the file that
MALLGRAM_ENV_FILE names, asks PostgREST which pictures `product_media` wants, and leaves those alone
that are in the bucket already. Needs no network but the stack's own.
"""

import functools
import io
import math
import os
import sys
import unicodedata
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from scripts.local.console import Failure
from scripts.local.settings import ROOT, read_env_file

BUCKET = "products"
FOLDER = "seed"
SIZE = 480  # pixels, square
ICON_SIZE = 269
OVERSAMPLING = 2
SMALLEST_TEXT = 24  # before it is scaled down
BYTES_LIMIT = 8_000

Colour = tuple[int, int, int]
Shape = tuple[Any, ...]

WHITE: Colour = (255, 252, 245)
GOLD: Colour = (246, 186, 84)

ACUTE, GRAVE, CIRCUMFLEX, DIAERESIS, CEDILLA = (
    "\u0301",
    "\u0300",
    "\u0302",
    "\u0308",
    "\u0327",
)
PLAIN_LETTERS: Mapping[str, str] = {
    "œ": "oe",
    "æ": "ae",
    "’": "'",
    "«": '"',
    "»": '"',
    "\u00a0": " ",
}

# Deep and light colour of everything below a root of the category tree.
PALETTES: Mapping[str, tuple[Colour, Colour]] = {
    "fashion": ((156, 52, 33), (229, 138, 78)),
    "electronics": ((24, 52, 92), (74, 138, 188)),
    "home": ((99, 58, 34), (206, 150, 90)),
    "energy": ((176, 92, 10), (247, 191, 76)),
    "beauty": ((116, 38, 82), (219, 132, 168)),
    "family": ((22, 98, 112), (112, 200, 194)),
    "food": ((52, 92, 34), (164, 196, 92)),
    "outdoor": ((48, 62, 48), (134, 156, 114)),
}

# Icons on a field of 100 by 100. o: ellipse (box), r: rectangle (box, radius), p: polygon (points),
# l: line (points, width), a: arc (box, start, end in degrees clockwise from three o'clock, width).
# The last word is the colour: w white, d the deep colour, m between both, g gold.
ICONS: Mapping[str, Sequence[Shape]] = {
    "women": (
        ("l", (41, 13, 43, 28), 4, "w"),
        ("l", (59, 13, 57, 28), 4, "w"),
        ("p", (38, 26, 44, 24, 50, 30, 56, 24, 62, 26, 60, 48, 40, 48), "w"),
        ("p", (40, 50, 60, 50, 80, 87, 20, 87), "w"),
        ("p", (40, 45, 60, 45, 62, 53, 38, 53), "g"),
        ("l", (50, 60, 50, 84), 2, "m"),
        ("l", (41, 62, 34, 84), 2, "m"),
        ("l", (59, 62, 66, 84), 2, "m"),
    ),
    "men": (
        (
            "p",
            (36, 16, 64, 16, 86, 30, 78, 48, 68, 42, 68, 86, 32, 86, 32, 42, 22, 48, 14, 30),
            "w",
        ),
        ("p", (40, 16, 60, 16, 50, 30), "m"),
        ("l", (50, 30, 50, 86), 2, "m"),
        ("o", (52, 38, 56, 42), "d"),
        ("o", (52, 52, 56, 56), "d"),
        ("o", (52, 66, 56, 70), "d"),
    ),
    "shoes": (
        ("p", (12, 36, 26, 34, 36, 42, 52, 40, 66, 54, 86, 60, 90, 70, 12, 70), "w"),
        ("r", (10, 68, 92, 78), 4, "g"),
        ("l", (44, 44, 40, 52), 3, "d"),
        ("l", (51, 45, 47, 55), 3, "d"),
        ("l", (58, 50, 53, 58), 3, "d"),
        ("p", (12, 36, 26, 34, 30, 44, 12, 50), "m"),
    ),
    "wax-fabrics": (
        ("r", (18, 60, 84, 78), 8, "w"),
        ("r", (14, 41, 80, 59), 8, "g"),
        ("r", (20, 22, 86, 40), 8, "w"),
        *(("o", (27 + 14 * n, 27, 35 + 14 * n, 35), "d") for n in range(4)),
        *(("o", (21 + 14 * n, 46, 29 + 14 * n, 54), "w") for n in range(4)),
        *(("p", (26 + 14 * n, 73, 30 + 14 * n, 65, 34 + 14 * n, 73), "m") for n in range(4)),
    ),
    "phones": (
        ("r", (30, 10, 70, 90), 8, "w"),
        ("r", (34, 19, 66, 78), 3, "d"),
        ("o", (47, 81, 53, 87), "m"),
        ("l", (45, 14, 55, 14), 2, "m"),
        ("p", (34, 64, 46, 50, 54, 58, 66, 42, 66, 78, 34, 78), "m"),
        ("o", (52, 26, 62, 36), "g"),
    ),
    "audio": (
        ("a", (18, 14, 82, 90), 180, 360, 7, "w"),
        ("r", (12, 48, 32, 82), 8, "w"),
        ("r", (68, 48, 88, 82), 8, "w"),
        ("r", (26, 52, 34, 78), 3, "g"),
        ("r", (66, 52, 74, 78), 3, "g"),
    ),
    "phone-accessories": (
        ("r", (32, 14, 68, 54), 8, "w"),
        ("p", (52, 20, 40, 37, 49, 37, 46, 49, 60, 31, 51, 31), "g"),
        ("l", (52.5, 54, 52.5, 68), 5, "w"),
        ("a", (50, 52, 78, 84), 90, 180, 5, "w"),
        ("a", (50, 52, 78, 84), 0, 90, 5, "w"),
        ("l", (75.5, 68, 75.5, 52), 5, "w"),
        ("r", (69, 38, 82, 54), 3, "g"),
    ),
    "computing": (
        ("r", (20, 20, 80, 66), 5, "w"),
        ("r", (25, 25, 75, 61), 2, "d"),
        ("p", (10, 72, 90, 72, 84, 80, 16, 80), "w"),
        ("l", (32, 36, 52, 36), 3, "g"),
        ("l", (32, 44, 62, 44), 3, "m"),
        ("l", (32, 52, 46, 52), 3, "m"),
    ),
    "cookware": (
        ("r", (20, 42, 80, 82), 14, "w"),
        ("r", (15, 33, 85, 41), 4, "g"),
        ("p", (24, 33, 36, 24, 64, 24, 76, 33), "w"),
        ("o", (45, 14, 55, 25), "g"),
        ("r", (8, 50, 22, 58), 4, "w"),
        ("r", (78, 50, 92, 58), 4, "w"),
        ("l", (32, 56, 32, 70), 3, "m"),
    ),
    "decoration": (
        ("p", (40, 30, 60, 30, 58, 42, 72, 58, 62, 86, 38, 86, 28, 58, 42, 42), "w"),
        ("l", (32, 60, 68, 60), 5, "g"),
        ("l", (35, 70, 65, 70), 3, "m"),
        ("l", (50, 30, 50, 12), 3, "w"),
        ("o", (34, 10, 50, 20), "m"),
        ("o", (50, 6, 66, 16), "w"),
        ("o", (52, 18, 66, 27), "m"),
    ),
    "bedding": (
        ("r", (12, 26, 20, 82), 4, "w"),
        ("r", (16, 52, 90, 72), 6, "w"),
        ("r", (82, 60, 90, 82), 4, "w"),
        ("r", (23, 40, 46, 53), 6, "g"),
        ("p", (46, 52, 90, 52, 90, 62, 52, 62), "m"),
    ),
    "appliances": (
        ("o", (22, 10, 78, 66), "w"),
        ("o", (27, 15, 73, 61), "d"),
        ("p", (50, 38, 44, 18, 60, 20), "w"),
        ("p", (50, 38, 70, 44, 62, 56), "w"),
        ("p", (50, 38, 36, 54, 30, 40), "w"),
        ("o", (45, 33, 55, 43), "g"),
        ("r", (46, 66, 54, 82), 2, "w"),
        ("r", (32, 80, 68, 88), 4, "w"),
    ),
    "solar-lamps": (
        ("o", (30, 24, 70, 64), "w"),
        ("p", (38, 56, 62, 56, 59, 72, 41, 72), "w"),
        ("r", (40, 72, 60, 78), 2, "m"),
        ("r", (42, 79, 58, 85), 2, "m"),
        ("l", (50, 18, 50, 8), 4, "g"),
        ("l", (76, 44, 88, 44), 4, "g"),
        ("l", (24, 44, 12, 44), 4, "g"),
        ("l", (69, 25, 77, 17), 4, "g"),
        ("l", (31, 25, 23, 17), 4, "g"),
        ("p", (53, 32, 43, 47, 50, 47, 47, 58, 58, 43, 51, 43), "m"),
    ),
    "solar-panels": (
        ("o", (64, 8, 88, 32), "g"),
        ("p", (26, 34, 90, 34, 76, 78, 10, 78), "w"),
        ("p", (30, 38, 48, 38, 44, 54, 25, 54), "d"),
        ("p", (52, 38, 84, 38, 79, 54, 48, 54), "d"),
        ("p", (24, 58, 43, 58, 38, 74, 17, 74), "d"),
        ("p", (47, 58, 78, 58, 73, 74, 42, 74), "d"),
        ("l", (43, 78, 43, 88), 5, "w"),
        ("l", (30, 89, 56, 89), 4, "w"),
    ),
    "power-banks": (
        ("r", (32, 14, 68, 86), 9, "w"),
        ("r", (42, 8, 58, 16), 2, "m"),
        ("r", (38, 62, 62, 79), 3, "g"),
        ("r", (38, 42, 62, 59), 3, "g"),
        ("r", (38, 22, 62, 39), 3, "m"),
    ),
    "inverters": (
        ("r", (14, 30, 86, 82), 8, "w"),
        ("r", (24, 20, 38, 32), 3, "m"),
        ("r", (62, 20, 76, 32), 3, "m"),
        ("l", (27, 42, 35, 42), 3, "d"),
        ("l", (65, 42, 73, 42), 3, "d"),
        ("l", (69, 38, 69, 46), 3, "d"),
        ("p", (54, 38, 38, 60, 49, 60, 45, 77, 63, 53, 52, 53), "g"),
    ),
    "hair": (
        ("r", (14, 26, 86, 46), 8, "w"),
        *(("r", (18 + 8 * n, 42, 22 + 8 * n, 78), 2, "w") for n in range(9)),
        ("l", (24, 34, 76, 34), 3, "g"),
    ),
    "skin-care": (
        ("r", (24, 46, 76, 84), 10, "w"),
        ("r", (21, 32, 79, 46), 4, "m"),
        ("p", (50, 50, 60, 66, 40, 66), "g"),
        ("o", (39, 59, 61, 79), "g"),
        ("o", (64, 10, 76, 22), "w"),
        ("o", (52, 18, 58, 24), "w"),
    ),
    "perfume": (
        ("r", (28, 42, 72, 86), 9, "w"),
        ("r", (34, 58, 66, 80), 4, "g"),
        ("r", (43, 30, 57, 42), 2, "m"),
        ("r", (39, 18, 61, 32), 3, "w"),
        *(("o", (x, y, x + 4, y + 4), "w") for x, y in ((70, 16), (77, 11), (77, 21), (84, 16))),
    ),
    "make-up": (
        ("r", (38, 56, 62, 88), 3, "w"),
        ("r", (41, 40, 59, 58), 2, "m"),
        ("p", (43, 40, 43, 24, 57, 12, 57, 40), "g"),
        ("l", (38, 66, 62, 66), 3, "m"),
    ),
    "baby-care": (
        ("r", (34, 36, 66, 88), 10, "w"),
        ("r", (31, 27, 69, 38), 4, "m"),
        ("p", (42, 27, 45, 16, 55, 16, 58, 27), "g"),
        ("o", (44, 9, 56, 21), "g"),
        *(("l", (36, y, 46, y), 3, "m") for y in (50, 60, 70, 80)),
    ),
    "toys": (
        ("r", (14, 50, 48, 84), 4, "w"),
        ("r", (52, 50, 86, 84), 4, "g"),
        ("r", (33, 14, 67, 48), 4, "m"),
        ("o", (23, 59, 39, 75), "d"),
        ("p", (69, 57, 79, 77, 59, 77), "w"),
        ("r", (42, 23, 58, 39), 2, "w"),
    ),
    "school": (
        ("r", (18, 18, 66, 86), 5, "w"),
        ("l", (28, 18, 28, 86), 3, "m"),
        ("l", (36, 34, 56, 34), 3, "d"),
        ("l", (36, 44, 56, 44), 3, "m"),
        ("l", (36, 54, 50, 54), 3, "m"),
        ("p", (74, 22, 86, 28, 64, 72, 52, 66), "g"),
        ("p", (52, 66, 64, 72, 51, 82), "w"),
    ),
    "kids-clothing": (
        (
            "p",
            (36, 22, 64, 22, 86, 36, 76, 52, 68, 47, 68, 84, 32, 84, 32, 47, 24, 52, 14, 36),
            "w",
        ),
        ("o", (40, 13, 60, 30), "m"),
        (
            "p",
            (50, 46, 54, 56, 64, 57, 56, 63, 59, 73, 50, 67, 41, 73, 44, 63, 36, 57, 46, 56),
            "g",
        ),
    ),
    "tea-coffee": (
        ("a", (60, 44, 90, 74), 270, 90, 6, "w"),
        ("r", (20, 38, 72, 82), 14, "w"),
        ("r", (20, 38, 72, 52), 3, "m"),
        ("o", (26, 40, 66, 50), "d"),
        ("l", (12, 87, 80, 87), 4, "w"),
        ("a", (32, 8, 46, 22), 270, 90, 3, "w"),
        ("a", (32, 19, 46, 33), 90, 270, 3, "w"),
        ("a", (46, 8, 60, 22), 270, 90, 3, "w"),
        ("a", (46, 19, 60, 33), 90, 270, 3, "w"),
    ),
    "spices": (
        ("l", (80, 10, 56, 46), 8, "m"),
        ("p", (18, 46, 82, 46, 72, 76, 28, 76), "w"),
        ("r", (34, 74, 66, 86), 4, "w"),
        ("r", (14, 40, 86, 49), 4, "w"),
        ("o", (26, 30, 36, 40), "g"),
        ("o", (38, 26, 48, 36), "g"),
        ("o", (44, 33, 53, 41), "w"),
        ("l", (28, 58, 72, 58), 3, "m"),
    ),
    "snacks": (
        ("p", (26, 22, 74, 22, 70, 50, 76, 86, 24, 86, 30, 50), "w"),
        ("p", (24, 12, 76, 12, 74, 22, 26, 22), "m"),
        ("o", (36, 40, 64, 68), "g"),
        ("o", (43, 47, 57, 61), "w"),
        ("l", (30, 78, 70, 78), 3, "m"),
    ),
    "oils": (
        ("r", (44, 8, 56, 18), 2, "g"),
        ("p", (45, 18, 55, 18, 56, 34, 68, 48, 68, 86, 32, 86, 32, 48, 44, 34), "w"),
        ("p", (50, 48, 59, 64, 41, 64), "m"),
        ("o", (40, 57, 60, 77), "m"),
    ),
    "tools": (
        ("l", (28, 84, 60, 38), 9, "g"),
        ("p", (40, 20, 62, 12, 80, 26, 84, 36, 74, 34, 68, 42, 54, 32), "w"),
        ("l", (28, 84, 36, 72), 9, "m"),
    ),
    "farming": (
        ("l", (50, 84, 50, 40), 5, "w"),
        ("p", (50, 58, 30, 54, 18, 40, 16, 24, 34, 26, 46, 38), "w"),
        ("p", (50, 46, 54, 30, 64, 18, 86, 12, 84, 30, 74, 42), "g"),
        ("o", (18, 78, 82, 94), "d"),
    ),
    "motorbike": (
        ("o", (16, 16, 84, 84), "w"),
        ("p", (14, 60, 86, 60, 86, 90, 14, 90), "b"),
        ("r", (14, 56, 60, 68), 5, "w"),
        ("p", (44, 36, 85, 40, 84, 58, 52, 58), "d"),
        ("l", (18, 46, 40, 46), 5, "g"),
    ),
    "sport": (
        ("o", (14, 14, 86, 86), "w"),
        ("p", (50, 36, 64, 46, 59, 62, 41, 62, 36, 46), "d"),
        *(
            (
                "l",
                (
                    50 + 15 * math.cos(math.radians(turn)),
                    50 + 15 * math.sin(math.radians(turn)),
                    50 + 26 * math.cos(math.radians(turn)),
                    50 + 26 * math.sin(math.radians(turn)),
                ),
                3,
                "d",
            )
            for turn in (-90, -18, 54, 126, 198)
        ),
        *(
            (
                "o",
                (
                    50 + 32 * math.cos(math.radians(turn)) - 8,
                    50 + 32 * math.sin(math.radians(turn)) - 8,
                    50 + 32 * math.cos(math.radians(turn)) + 8,
                    50 + 32 * math.sin(math.radians(turn)) + 8,
                ),
                "d",
            )
            for turn in (-90, -18, 54, 126, 198)
        ),
    ),
    "trousers": (
        ("p", (32, 14, 68, 14, 76, 88, 57, 88, 50, 44, 43, 88, 24, 88), "w"),
        ("p", (32, 14, 68, 14, 69, 22, 31, 22), "g"),
        ("l", (50, 24, 50, 40), 2, "m"),
    ),
    "basket": (
        ("a", (26, 6, 74, 78), 180, 360, 5, "w"),
        ("p", (14, 42, 86, 42, 74, 86, 26, 86), "w"),
        ("p", (17, 52, 83, 52, 80, 61, 20, 61), "g"),
        ("p", (22, 69, 78, 69, 76, 77, 24, 77), "m"),
    ),
    "mask": (
        ("p", (32, 16, 68, 16, 78, 40, 66, 76, 50, 90, 34, 76, 22, 40), "w"),
        ("p", (40, 8, 60, 8, 66, 22, 34, 22), "g"),
        ("p", (32, 42, 46, 46, 34, 50), "d"),
        ("p", (68, 42, 54, 46, 66, 50), "d"),
        ("p", (48, 46, 52, 46, 55, 62, 45, 62), "m"),
        ("o", (42, 68, 58, 76), "d"),
    ),
    "potjie": (
        ("a", (26, 6, 74, 60), 190, 350, 4, "w"),
        ("o", (18, 32, 82, 82), "w"),
        ("r", (18, 30, 82, 40), 4, "g"),
        ("l", (32, 76, 26, 90), 6, "w"),
        ("l", (50, 80, 50, 92), 6, "w"),
        ("l", (68, 76, 74, 90), 6, "w"),
    ),
    "blender": (
        ("a", (58, 20, 82, 48), 270, 90, 5, "w"),
        ("p", (32, 14, 70, 14, 64, 58, 38, 58), "w"),
        ("p", (35, 36, 67, 36, 64, 55, 38, 55), "g"),
        ("r", (29, 8, 73, 15), 3, "g"),
        ("p", (36, 60, 66, 60, 72, 88, 30, 88), "w"),
        ("o", (45, 68, 57, 80), "d"),
    ),
    "speaker": (
        ("r", (28, 8, 72, 92), 7, "w"),
        ("o", (40, 15, 60, 35), "d"),
        ("o", (46, 21, 54, 29), "g"),
        ("o", (33, 44, 67, 78), "d"),
        ("o", (43, 54, 57, 68), "g"),
        ("l", (38, 85, 62, 85), 3, "m"),
    ),
    "radio": (
        ("l", (28, 32, 70, 8), 3, "w"),
        ("r", (12, 32, 88, 80), 7, "w"),
        ("o", (19, 41, 49, 71), "d"),
        ("o", (28, 50, 40, 62), "g"),
        ("r", (56, 42, 81, 52), 2, "m"),
        ("o", (57, 59, 67, 69), "d"),
        ("o", (71, 59, 81, 69), "d"),
    ),
    "usb": (
        ("r", (40, 14, 60, 40), 2, "g"),
        ("r", (36, 38, 64, 90), 6, "w"),
        ("r", (44, 20, 48, 28), 1, "d"),
        ("r", (52, 20, 56, 28), 1, "d"),
        ("l", (44, 52, 56, 52), 3, "m"),
        ("o", (46, 74, 54, 82), "d"),
    ),
    "router": (
        ("l", (24, 60, 24, 26), 4, "w"),
        ("l", (76, 60, 76, 26), 4, "w"),
        ("r", (12, 56, 88, 80), 6, "w"),
        ("o", (22, 65, 28, 71), "g"),
        ("o", (33, 65, 39, 71), "g"),
        ("o", (44, 65, 50, 71), "m"),
        ("a", (38, 28, 62, 52), 215, 325, 4, "g"),
        ("a", (29, 15, 71, 57), 215, 325, 4, "w"),
    ),
    "soap": (
        ("r", (14, 48, 86, 82), 12, "w"),
        ("r", (26, 57, 74, 73), 7, "m"),
        ("o", (24, 16, 42, 34), "w"),
        ("o", (46, 26, 58, 38), "w"),
        ("o", (60, 12, 76, 28), "g"),
    ),
    "machete": (
        ("p", (16, 66, 62, 18, 82, 12, 84, 26, 28, 76), "w"),
        ("l", (24, 70, 12, 84), 10, "g"),
        ("o", (15, 77, 19, 81), "d"),
        ("l", (34, 64, 76, 26), 2, "m"),
    ),
    "net": (
        ("p", (50, 10, 86, 84, 14, 84), "w"),
        ("l", (50, 12, 38, 84), 2, "m"),
        ("l", (50, 12, 62, 84), 2, "m"),
        ("l", (33, 46, 67, 46), 2, "m"),
        ("l", (25, 63, 75, 63), 2, "m"),
        ("o", (43, 4, 57, 16), "g"),
        ("r", (10, 82, 90, 90), 4, "g"),
    ),
}

# A root of the tree shows one of what it holds.
ROOT_ICONS: Mapping[str, str] = {
    "fashion": "wax-fabrics",
    "electronics": "phones",
    "home": "cookware",
    "energy": "solar-panels",
    "beauty": "perfume",
    "family": "toys",
    "food": "tea-coffee",
    "outdoor": "tools",
}


# Products that their category's icon would not tell.
PRODUCT_ICONS: Mapping[str, str] = {
    "argan-oil": "oils",
    "basket-bolga": "basket",
    "black-soap": "soap",
    "blender-2l": "blender",
    "bulk-machetes": "machete",
    "bulk-nets": "net",
    "bulk-tshirts": "kids-clothing",
    "linen-trousers": "trousers",
    "machete-set": "machete",
    "mosquito-net": "net",
    "party-speaker": "speaker",
    "phone-case": "phones",
    "potjie-pot": "potjie",
    "radio-solar": "radio",
    "usb-drive": "usb",
    "wall-mask": "mask",
    "wifi-router": "router",
}


@dataclass(frozen=True)
class Picture:
    """One picture: where it goes, what it shows, what is written under it."""

    path: str
    root: str
    icon: str
    title: str
    title_fr: str


def draw(picture: Picture) -> bytes:
    """The picture as WebP of SIZE by SIZE pixels, the same bytes for the same picture."""
    deep, light = PALETTES[picture.root]
    canvas = _backdrop(deep, light, zlib.crc32(picture.path.encode()))
    _place_icon(canvas, _draw_icon(ICONS[picture.icon], deep, light), deep)
    _write_titles(canvas, picture, deep)
    return _encode(canvas)


def _backdrop(deep: Colour, light: Colour, seed: int) -> Image.Image:
    """A diagonal gradient with two large, faint circles; seed moves them."""
    ramp = Image.linear_gradient("L").rotate(
        20 + seed % 5 * 8, Image.Resampling.BILINEAR, expand=True
    )
    edge = math.ceil(ramp.width * 0.27)
    ramp = ramp.crop((edge, edge, ramp.width - edge, ramp.height - edge)).resize((SIZE, SIZE))
    canvas = Image.composite(
        Image.new("RGB", (SIZE, SIZE), deep), Image.new("RGB", (SIZE, SIZE), light), ramp
    )
    veil = Image.new("L", (SIZE * OVERSAMPLING, SIZE * OVERSAMPLING), 0)
    pen = ImageDraw.Draw(veil)
    for number, share in enumerate((0.31, 0.20)):
        radius = veil.width * share
        x = veil.width * (0.2 + 0.6 * ((seed >> (4 * number)) % 16) / 15)
        y = veil.width * (0.1 + 0.5 * ((seed >> (8 + 4 * number)) % 16) / 15)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=26)
    veil = veil.resize((SIZE, SIZE), Image.Resampling.BOX)
    canvas.paste(Image.new("RGB", (SIZE, SIZE), WHITE), mask=veil)
    return canvas


def _draw_icon(shapes: Iterable[Shape], deep: Colour, light: Colour) -> Image.Image:
    """The icon on nothing, ICON_SIZE pixels a side."""
    scale = ICON_SIZE * OVERSAMPLING / 100
    layer = Image.new("RGBA", (ICON_SIZE * OVERSAMPLING, ICON_SIZE * OVERSAMPLING), (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    colours: Mapping[str, tuple[int, ...]] = {
        "w": (*WHITE, 255),
        "g": (*GOLD, 255),
        "d": (*deep, 255),
        "m": (*((a + b) // 2 for a, b in zip(deep, light, strict=True)), 255),
        "b": (0, 0, 0, 0),
    }
    for kind, numbers, *rest in shapes:
        points = [(x * scale, y * scale) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
        fill = colours[rest[-1]]
        if kind == "o":
            pen.ellipse((*points[0], *points[1]), fill=fill)
        elif kind == "r":
            pen.rounded_rectangle((*points[0], *points[1]), rest[0] * scale, fill=fill)
        elif kind == "p":
            pen.polygon(points, fill=fill)
        elif kind == "l":
            width = rest[0] * scale
            pen.line(points, fill=fill, width=round(width), joint="curve")
            for x, y in (points[0], points[-1]):
                pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=fill)
        else:
            start, end, width = rest[0], rest[1], rest[2] * scale
            pen.arc((*points[0], *points[1]), start, end, fill=fill, width=round(width))
    return layer.resize((ICON_SIZE, ICON_SIZE), Image.Resampling.BOX)


def _place_icon(canvas: Image.Image, icon: Image.Image, deep: Colour) -> None:
    """The icon in the upper middle, with a soft shadow under it."""
    left, top = (SIZE - ICON_SIZE) // 2, round(SIZE * 0.09)
    shade = Image.new("L", canvas.size, 0)
    shade.paste(icon.getchannel("A").point(lambda value: value * 80 // 255), (left, top + 7))
    shade = shade.filter(ImageFilter.GaussianBlur(5))
    canvas.paste(Image.new("RGB", canvas.size, _darker(deep, 3)), mask=shade)
    canvas.paste(icon, (left, top), icon)


def _darker(colour: Colour, times: int) -> Colour:
    return colour[0] // times, colour[1] // times, colour[2] // times


def _write_titles(canvas: Image.Image, picture: Picture, deep: Colour) -> None:
    """English above, French below, on a band at the foot."""
    top = round(SIZE * 0.735)
    band = Image.new("L", canvas.size, 0)
    ImageDraw.Draw(band).rectangle((0, top, SIZE, SIZE), fill=205)
    canvas.paste(Image.new("RGB", canvas.size, _darker(deep, 2)), mask=band)
    ImageDraw.Draw(canvas).rectangle((0, top, SIZE, top + 4), fill=GOLD)
    side = SIZE * OVERSAMPLING
    layer = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    for text, baseline, size, colour in (
        (picture.title, 0.845, 27, WHITE),
        (picture.title_fr, 0.935, 22, GOLD),
    ):
        _write_line(pen, text, round(side * baseline), size * OVERSAMPLING, colour)
    layer = layer.resize((SIZE, SIZE), Image.Resampling.BOX)
    canvas.paste(layer, (0, 0), layer)


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _write_line(
    pen: ImageDraw.ImageDraw, text: str, baseline: int, size: int, colour: Colour
) -> None:
    """One centred line, as large as fits, in the font that comes with Pillow.

    That font has no accented letters: their accents are drawn above the plain ones.
    """
    accents: list[tuple[int, str]] = []
    plain = ""
    for character in unicodedata.normalize("NFD", text):
        if unicodedata.combining(character):
            accents.append((len(plain) - 1, character))
        else:
            plain += PLAIN_LETTERS.get(character, character)
    font = _font(size)
    side = SIZE * OVERSAMPLING
    while size > SMALLEST_TEXT and pen.textlength(plain, font=font) > side * 0.94:
        size -= 1
        font = _font(size)
    left = (side - pen.textlength(plain, font=font)) / 2
    pen.text((left, baseline), plain, font=font, fill=colour, anchor="ls")
    for position, accent in accents:
        start = left + pen.textlength(plain[:position], font=font)
        middle = start + pen.textlength(plain[position], font=font) / 2
        box = font.getbbox(plain[position], anchor="ls")
        _draw_accent(pen, accent, middle, baseline + box[1], size, colour)


def _draw_accent(
    pen: ImageDraw.ImageDraw, accent: str, x: float, top: float, size: int, colour: Colour
) -> None:
    unit = size / 10
    y = top - 0.7 * unit
    width = max(1, round(size / 12))
    if accent in {ACUTE, GRAVE}:
        slope = unit if accent == ACUTE else -unit
        pen.line((x - slope, y, x + slope, y - 1.4 * unit), fill=colour, width=width)
    elif accent == CIRCUMFLEX:
        pen.line(
            (x - 1.5 * unit, y, x, y - 1.4 * unit, x + 1.5 * unit, y), fill=colour, width=width
        )
    elif accent == DIAERESIS:
        for middle in (x - 1.3 * unit, x + 1.3 * unit):
            pen.ellipse((middle - width, y - 2 * width, middle + width, y), fill=colour)
    elif accent == CEDILLA:
        foot = top + size * 0.62
        pen.line((x, foot, x - 0.5 * unit, foot + 1.4 * unit), fill=colour, width=width)


def _encode(canvas: Image.Image) -> bytes:
    """The best quality that stays under the limit."""
    body = b""
    for quality in (66, 52, 38, 24):
        target = io.BytesIO()
        canvas.save(target, "WEBP", quality=quality, method=3)
        body = target.getvalue()
        if len(body) <= BYTES_LIMIT:
            break
    return body


class Project:
    """The stack's Storage and data API, as service_role."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx.Client(
            base_url=url,
            headers={"apikey": key, "Authorization": f"Bearer {key}"},
            timeout=20,
            trust_env=False,
        )

    def wanted(self) -> list[Picture]:
        """One picture a category and one a hand-made product."""
        categories = self._read("categories", {"select": "id,parent_id,slug,name,name_fr"})
        slugs = {row["id"]: row["slug"] for row in categories}
        roots = {row["slug"]: slugs.get(row["parent_id"], row["slug"]) for row in categories}
        pictures = [
            Picture(
                path=f"{FOLDER}/category-{row['slug']}.webp",
                root=roots[row["slug"]],
                icon=ROOT_ICONS.get(row["slug"], row["slug"]),
                title=row["name"],
                title_fr=row["name_fr"],
            )
            for row in categories
            if roots[row["slug"]] in PALETTES and ROOT_ICONS.get(row["slug"], row["slug"]) in ICONS
        ]
        rows = self._read(
            "product_media",
            {
                "select": "storage_path,alt,alt_fr,products(category_id),"
                "products_retailer(category_id)",
                "storage_path": f"like.{BUCKET}/{FOLDER}/*",
                "and": f"(storage_path.not.like.{BUCKET}/{FOLDER}/category-*)",
                "order": "storage_path",
            },
        )
        for row in rows:
            slug = slugs[(row["products"] or row["products_retailer"])["category_id"]]
            pictures.append(
                Picture(
                    path=row["storage_path"].removeprefix(f"{BUCKET}/"),
                    root=roots[slug],
                    icon=PRODUCT_ICONS.get(Path(row["storage_path"]).stem, slug),
                    title=row["alt"],
                    title_fr=row["alt_fr"],
                )
            )
        return pictures

    def present(self) -> set[str]:
        """Paths of the seed's pictures that are in the bucket; makes the bucket if need be."""
        listed = self._list()
        if listed is None:
            self._send(
                "POST", "/storage/v1/bucket", json={"id": BUCKET, "name": BUCKET, "public": True}
            )
            listed = self._list()
        # Hosted Storage answers names below the prefix, the local server whole paths.
        return {f"{FOLDER}/{Path(entry['name']).name}" for entry in listed or ()}

    def upload(self, path: str, body: bytes) -> None:
        """Store a picture, over an older one if there is one."""
        self._send(
            "POST",
            f"/storage/v1/object/{BUCKET}/{path}",
            content=body,
            headers={
                "Content-Type": "image/webp",
                "Cache-Control": "max-age=31536000",
                "x-upsert": "true",
            },
        )

    def _list(self) -> list[dict[str, Any]] | None:
        """What the folder holds; None when there is no such bucket."""
        answer = self._client.post(
            f"/storage/v1/object/list/{BUCKET}",
            json={"prefix": f"{FOLDER}/", "limit": 1000, "offset": 0},
        )
        if answer.status_code in {400, 404}:
            return None
        return list(self._checked(answer).json())

    def _read(self, table: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        return list(self._checked(self._client.get(f"/rest/v1/{table}", params=query)).json())

    def _send(self, method: str, address: str, **body: Any) -> None:
        self._checked(self._client.request(method, address, **body))

    @staticmethod
    def _checked(answer: httpx.Response) -> httpx.Response:
        if answer.is_error:
            raise Failure(
                f"{answer.request.method} {answer.request.url.path} answered "
                f"{answer.status_code}: {answer.text[:200]}"
            )
        return answer


def main(arguments: Sequence[str]) -> int:
    """Exit status 1 with one sentence when the stack does not take the pictures."""
    file = ROOT / os.environ.get("MALLGRAM_ENV_FILE", ".local/env")
    values = read_env_file(file)
    try:
        project = Project(values["SUPABASE_URL"], values["SUPABASE_SERVICE_ROLE_KEY"])
        if arguments:
            for picture in project.wanted():
                target = Path(arguments[0]) / picture.path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(draw(picture))
            return 0
        present = project.present()
        for picture in project.wanted():
            if picture.path not in present:
                project.upload(picture.path, draw(picture))
    except KeyError as error:
        sys.stderr.write(f"{file} does not name {error.args[0]}: is the stack running?\n")
        return 1
    except (Failure, httpx.HTTPError) as error:
        sys.stderr.write(f"The pictures could not be uploaded: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
