"""Directions and negations of a claim that its evidence does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator

from index.words import tagged
from rag.facts import Evidence, Facts, Problem, differs, letters

_OPPOSITES = [
    [side.split() for side in pair.split("/")]
    for pair in """
        增加 增长 上升 上涨 提高 提升 扩大 攀升 走高 增多 延长 上调 增至 涨幅 增幅 升高 贵
        / 减少 下降 下跌 降低 缩小 回落 走低 缩短 精简 压缩 下调 减至 降至 降幅 跌幅 压减 便宜;
        盈利 / 亏损; 高于 / 低于; 极高 很高 较高 最高 更高 / 极低 很低 较低 最低 更低; 流入 / 流出;
        上午 / 下午; 加快 提速 加速 / 放缓 减慢 减速 回落; 早于 / 晚于;
        进口 / 出口; 加入 / 退出; 首次 / 再次 第二次;
        同意 批准 通过 支持 赞成 / 反对 拒绝 否决 驳回 抗议; 成功 / 失败 落败 未果;
        开通 启动 开放 启用 开业 成立 恢复 / 关闭 停运 停止 暂停 停业 取消 撤销 解散 叫停;
        赢 击败 战胜 获胜 取胜 夺冠 / 输 负于 不敌 落败 惜败 失利;
        买入 购入 收购 / 卖出 出售 抛售; 提前 早了 / 推迟 延期 延后 晚了 滞后; 顺差 / 逆差;
        增持 / 减持; 涨停 / 跌停; 好转 改善 / 恶化; 利好 / 利空;
        有效 / 无效; 自愿 主动 / 被迫 强制
    """.split(";")
]
"""Words of which one says the contrary of the other's."""
_FROM = re.compile(r"[由从]\W?$")
_TURN = re.compile(
    r"[由从]\W?(?P<start>\w{2,8}?)\W?(?:转变为|转向|转为|变为|变成|降至|升至|增至|减至|降到|升到|向|到|至)"
    r"\W?(?P<end>\w{2})"
)
_NEGATORS = re.compile(
    "|".join(
        """
        没有 没 不是 不会 不能 不再 不可 不得 不予 不需 不用 无需 无须 未能 未曾 尚未 并未 从未
        未 不 并非 绝非 无法 无 
        """.split()
    )
)
_NO_NEGATION = re.compile(
    "|".join(
        """
        不仅 不但 不断 不少 不同 不止 不论 不管 不只 不得不 不妨 不错 不久 不惜 不禁 不料 不过
        不如 不光 不单 不愧 不必说 不约而同 不可或缺 不可思议 不遗余力 不含糊 差不多 对不起
        了不起 未来 未婚 未成年 未必 无论 无人机 无线 无锡 无疑 无数 无偿 无私 无障碍 无形 无限
        无缝 非常 除非 莫非 绝无仅有 不足 不到 不满 不超过 不低于 不少于 不高于 不多于 不动产
        不良 不锈钢 不时 不宜 不便 不幸 不安 不利 没收 没落 沉没 用不了 不出
        """.split()
    )
)
"""Words with a negation in them that deny nothing, or that qualify a number."""

_CLAUSE = re.compile(r"[^,.;:!?\n]+")
_LIKE, _NEARLY = 0.35, 0.15
"""The share of a clause that one of the evidence must have, and how near the best."""


def directions(said: Facts, evidence: Evidence) -> Iterator[Problem]:
    """Yield the directions of a claim that its evidence turns round: 增长 of 下降."""
    stated = evidence.facts
    yield from _turned(said.text, stated.text)
    for amount in said.amounts:
        same = [other for other in stated.amounts if amount.same_value(other)]
        if len(same) == 1:
            yield from _turned(said.before(amount), stated.before(same[0]))


def reversals(said: Facts, evidence: Evidence) -> Iterator[Problem]:
    """Yield the turns that go the other way in the evidence: 由灰转绿 for 由绿转灰."""
    text = evidence.facts.text
    for found in _TURN.finditer(said.text):
        start, end = text.find(found["start"]), text.find(found["end"])
        if 0 <= end < start and _FROM.search(text[max(0, end - 4) : end]):
            yield differs(found.group(), [text[end : start + len(found["start"])]])


def _turned(said: str, stated: str) -> Iterator[Problem]:
    for one, other in _OPPOSITES:
        for ours, theirs in ((one, other), (other, one)):
            used = next((word for word in ours if word in said), None)
            if used is None or any(word in stated for word in ours):
                continue
            turned = next((word for word in theirs if word in stated), None)
            if turned and not any(word in said for word in theirs):
                yield differs(used, [turned])


def negations(said: Facts, evidence: Evidence) -> Iterator[Problem]:
    """Yield the clauses that deny what the evidence affirms, or affirm what it denies."""
    stated = evidence.facts
    theirs = [(_character_pairs(c), _negation(c)) for c in _CLAUSE.findall(stated.text)]
    for clause in _CLAUSE.findall(said.text):
        pairs, ours = _character_pairs(clause), _negation(clause)
        shares = [
            (len(pairs & own) / max(4, min(len(pairs), len(own))), other) for own, other in theirs
        ]
        best = max((share for share, _ in shares), default=0.0)
        like = [other for share, other in shares if share >= max(_LIKE, best - _NEARLY)]
        if ours and like and not any(like):
            yield f"原文没有否定（“{ours}”）", f"the source does not deny this (“{ours}”)"
        elif not ours and like and all(like):
            yield f"原文是否定的（“{like[0]}”）", f"the source denies this (“{like[0]}”)"


def _character_pairs(text: str) -> set[str]:
    plain = letters(text)
    return {plain[k : k + 2] for k in range(len(plain) - 1)}


def _negation(clause: str) -> str:
    """Return the word that negates a clause, "" where there is none or they cancel out."""
    for word in tagged(clause):  # 吃不消, 恋恋不舍
        if re.fullmatch(r"[^并也还都]不\w|\w{2,}[不无没未]\w+", word.text):
            clause = clause.replace(word.text, "·" * len(word.text))
    masked = _NO_NEGATION.sub(lambda match: "·" * len(match.group()), clause)
    found = _NEGATORS.findall(masked)
    return found[0] if len(found) % 2 else ""
