"""Hostile files, made and not kept: seeded, the same on every machine.

structure  objects, references and page trees that lie
pages      boxes, units and turns that no page has
content    page content that recurses, multiplies or never ends
streams    bombs in every filter, pictures that claim what they do not hold, broken encryption
damage     good files cut off, with bytes turned, glued to others
images     image files that claim too much or unpack too far
lies       what is no document
"""

from tests.hostile import content, damage, images, lies, pages, streams, structure
from tests.hostile.catalogue import HOSTILE, Hostile

__all__ = ["HOSTILE", "Hostile", "content", "damage", "images", "lies", "pages", "streams", "structure"]
