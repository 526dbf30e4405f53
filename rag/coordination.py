"""Coordinations: the items of the lists in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from rag.tokens import AND, CLOSING, COPULA, ENUMERATION_END, OPENING, STRONG_END, Token

Item = tuple[int, int]
"""First and last token of one item, inclusive."""

Group = tuple[Item, ...]

_ENCLOSING, _ENCLOSED = "《〈(（【[", "》〉)）】]"


def coordinations(tokens: Sequence[Token]) -> tuple[Group, ...]:
    """Find the runs of items joined by 、 (the last two also by 和, 与, 及 and the like).

    Quoted strings side by side ("“源创客”“梧桐树”") are such a run too, without their quotes.
    """
    groups: list[list[Item]] = _quoted_runs(tokens)
    start = 0
    for end in range(len(tokens) + 1):
        if end == len(tokens) or tokens[end].text in STRONG_END:
            groups += _groups_of_clause(tokens, start, end)
            start = end + 1
    return tuple(_evened(tokens, group) for group in groups if len(group) > 1)


def pairs(tokens: Sequence[Token], groups: Sequence[Group]) -> list[Group]:
    """Find two items joined by 和 alone, outside of the runs found: "甲和乙"."""
    taken = {k for group in groups for k in range(group[0][0], group[-1][1] + 1)}
    found: list[Group] = []
    for k in range(1, len(tokens) - 1):
        if tokens[k].text in AND and not {k - 1, k + 1} & taken:
            first = (_item_start(tokens, k - 1), k - 1)
            last = (k + 1, _item_end(tokens, k + 1, [first]))
            if tokens[k - 1].text not in STRONG_END and tokens[k + 1].text not in STRONG_END:
                found.append(_evened(tokens, [first, last]))
    return found


def _evened(tokens: Sequence[Token], items: Sequence[Item]) -> Group:
    """Return a list, its first item without what stands before a figure: "贡献5元、3元"."""
    (start, end), *others = items
    figure = tokens[end].tag
    if figure in ("Q", "T") and all(a == b and tokens[b].tag == figure for a, b in others):
        start = end
    return ((start, end), *others)


def _quoted_runs(tokens: Sequence[Token]) -> list[list[Item]]:
    runs: list[list[Item]] = [[]]
    opened = -1
    closed = -2
    for k, token in enumerate(tokens):
        if token.text in OPENING and token.text not in CLOSING:
            if k != closed + 1:
                runs.append([])
            opened = k
        elif token.text in CLOSING and opened >= 0 and k > opened + 1:
            runs[-1].append((opened + 1, k - 1))
            opened, closed = -1, k
    return runs


def _groups_of_clause(tokens: Sequence[Token], start: int, end: int) -> list[list[Item]]:
    separators = _separators(tokens, start, end)
    groups: list[list[Item]] = [[]]
    if not separators or separators[0] == start:
        return []
    for separator, behind in zip(separators, [*separators[1:], end], strict=True):
        if not groups[-1]:
            groups[-1].append((_item_start(tokens, separator - 1), separator - 1))
        first, last = separator + 1, behind - 1
        stop = next(
            (k for k in range(first + 1, last + 1) if tokens[k].text in ENUMERATION_END), None
        )
        if first == end:  # nothing stands behind the last separator
            break
        if behind == end or stop is not None:
            groups[-1] += _last_items(tokens, first, _item_end(tokens, first, groups[-1]))
            groups.append([])
        else:
            groups[-1].append((first, last))
    return [group for group in groups if all(a <= b for a, b in group)]


def _separators(tokens: Sequence[Token], start: int, end: int) -> list[int]:
    """Return where 、 stands, outside of titles and brackets."""
    found: list[int] = []
    depth = 0
    for k in range(start, end):
        text = tokens[k].text
        depth = max(0, depth + (text in _ENCLOSING) - (text in _ENCLOSED))
        if text == "、" and not depth:
            found.append(k)
    return found


def _last_items(tokens: Sequence[Token], first: int, last: int) -> list[Item]:
    """Split the end of a list at its 和: "甲、乙和丙"."""
    for k in range(first + 1, last):
        if tokens[k].text in AND:
            return [(first, k - 1), (k + 1, last)]
    return [(first, last)]


def _item_start(tokens: Sequence[Token], end: int) -> int:
    """Walk back from the first separator to where the first item begins."""
    position = end
    depth = 0
    while position > 0:
        token, before = tokens[position], tokens[position - 1]
        depth += (token.text in CLOSING) - (token.text in OPENING)
        if depth <= 0 and (
            before.text in STRONG_END
            or before.tag in ("p", "u", "d", "c", "r", "v")
            or before.text in COPULA
        ):
            break
        position -= 1
    return position


def _item_end(tokens: Sequence[Token], start: int, items: Sequence[Item]) -> int:
    """Walk on from the last separator to where the last item ends, about as long as the others."""
    last_tag = tokens[items[-1][1]].tag if items else "n"
    longest = max((b - a + 1 for a, b in items), default=3) + 3
    end = begun = start
    depth = 0
    for position in range(start, len(tokens)):
        token = tokens[position]
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if begun == start < position and token.text in AND:
            begun = position
        whole = last_tag in ("T", "Q") and tokens[position - 1].tag == last_tag
        if (position >= begun + longest and token.tag != "n") or (
            depth <= 0
            and position > start
            and (
                token.text in STRONG_END
                or token.text in ENUMERATION_END
                or (whole and token.text not in AND)
                or token.tag in ("u", "p")
                or (
                    token.tag in ("v", "d", "a")
                    and last_tag not in ("v", "a", "d")
                    and not _begins_noun(tokens, position)
                )
            )
        ):
            break
        end = position
    return end


def _begins_noun(tokens: Sequence[Token], position: int) -> bool:
    """Tell whether a short adjective is a part of the noun behind it: 新材料, 大数据."""
    token = tokens[position]
    behind = tokens[position + 1].tag if position + 1 < len(tokens) else ""
    return token.tag == "a" and len(token.text) == 1 and behind.startswith("n")
