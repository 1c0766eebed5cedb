"""Error sentences, to be matched as a whole."""

import re


def says(sentence: str) -> str:
    return f"^{re.escape(sentence)}$"
