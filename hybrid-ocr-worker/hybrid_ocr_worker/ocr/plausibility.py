"""Does text look like language? A text layer whose letters are mapped wrongly is well-formed nonsense.

The measure is the share of neighbouring letter pairs that are among the commonest of the languages written in Latin
letters. Measured on English, German (also of 1815) and French: real text has 0.93 and more of its pairs there, the same
text with its letters shifted 0.65 and less. Other scripts are not judged.
"""

from __future__ import annotations

import re
import unicodedata

#: The commonest letter pairs of English, German, French, Spanish, Italian, Portuguese, Dutch, Polish and Swedish,
#: without diacritics.
_COMMON_PAIRS = frozenset(
    """
    th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro
    ic ne ea ra ce li ch ll be ma si om ur ca el ta la ns di fo ho pe ec pr no ct us ac ot il tr ly nc et ut ss so
    rs un lo wa ge ie wh ee wi em ad ol rt po we na ul ni ts mo ow pa im mi ai sh ir su id os iv ia am fi ci vi pl
    ig tu ev ld ry mp fe bl ab gh ty op wo sa ay ex ke fr oo av ag if ap gr od bo sp rd do uc bu ei ov by rm ep tt
    oc fa ef cu rn sc gi da yo cr cl du ga qu ue ff ba ey ls va um pp ua up lu go ht ru ug ds lt pi rc rr eg au ck
    ew mu br bi pt ak pu ui rg ib tl ny ki rk ys ob mm fu ph og ms ye ud mb ip ub oi rl gu dr hr cc tw ft wn nu af
    hu nn eo vo rv nf xp gn sm fl iz ok nl my gl aw ju oa eq sy sl ps jo lf nv je nk kn gs dy hy ze ks xt bs ik dd
    rp sk xi oe oy ws lv dl rf eu dg wr xa yi nm eb nz tz zu zi ko ka ja ij aa uu ez cz sz rz dz wy ym ej za zy yc
    """.split()  # noqa: SIM905 - a list would take three hundred lines
)
_LETTERS = re.compile(r"[a-z]{2,}")
_FEWEST_PAIRS = 100


def plausibility(text: str) -> float | None:
    """0 to 1, or None when there is too little Latin text to judge."""
    plain = unicodedata.normalize("NFD", text.lower())
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    pairs = [run[i : i + 2] for run in _LETTERS.findall(plain) for i in range(len(run) - 1)]
    if len(pairs) < _FEWEST_PAIRS:
        return None
    return sum(pair in _COMMON_PAIRS for pair in pairs) / len(pairs)
