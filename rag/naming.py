"""Names: whether a phrase names a person, a place, an organisation, a time or an amount."""

from __future__ import annotations

import re
from typing import Literal

from index.fold import fold
from index.words import Word, tagged
from rag.measures import DATE, QUANTITY

Sort = Literal["person", "place", "organisation", "time", "amount", "thing"]
"""What a phrase names."""

OPENING_QUOTES, CLOSING_QUOTES = "“‘《〈「『", "”’》〉」』"
QUOTES = OPENING_QUOTES + CLOSING_QUOTES + "\"'"

MEASURE = re.compile(
    r"(?:[全总總][长長]"
    r"|(?:总|總|(?<![今去前明当])年|平均|人均|最[高低大小])?"
    r"(?:投资|投資|资金|資金|资本|資本|产值|產值|营收|营业收入|收入|利润|产量|产能|规模|面积|面積"
    r"|人数|人次|数量|金额|总额|比例|占比|价格|费用|成本|里程|长度|高度|深度|海拔|均价|销量"
    r"|销售额|增速|增幅|功率|功耗|频率|扭矩|容积率|年龄|体重|身高|速度|温度"
    r"|(?<![收免消浪缴繳交花])[费費]|[率额量数价値值]))$"
)
"""Nouns at the end of a phrase for what can be measured of a thing."""

_SURNAMES = (
    "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜戚谢邹喻柏水窦章云苏潘葛奚范"
    "彭郎鲁韦昌马苗凤花方俞任袁柳酆鲍史唐费廉岑薛雷贺倪汤滕殷罗毕郝邬安常乐于时傅皮卞齐康伍余元卜"
    "顾孟平黄和穆萧尹姚邵湛汪祁毛禹狄米贝明臧计伏成戴谈宋茅庞熊纪舒屈项祝董梁杜阮蓝闵席季麻强贾路"
    "娄危江童颜郭梅盛林刁钟徐邱骆高夏蔡田樊胡凌霍虞万支柯管卢莫经房裘缪干解应宗丁宣邓郁单杭洪包诸"
    "左石崔吉龚程邢裴陆荣翁荀羊甄曲封芮靳焦巴谷车侯宁仇栾祖武符刘景詹束龙叶司黎薄印白蒲邰从鄂索赖"
    "卓蔺屠蒙池乔阴佟闻党翟谭贡姬申扶冉宰郦雍桑桂牛寿边燕冀尚农温庄晏柴瞿阎充慕连习容向古易慎廖庾"
    "终居衡步都耿满匡文寇广阙欧沃利蔚越隆师巩聂晁勾敖冷訾辛阚简饶曾关蒯相查荆游竺权逯盖益桓公肖隽"
)
_FULL_NAME = re.compile(
    rf"\w+·\w+|(?:欧阳|司马|上官|诸葛|司徒|东方|尉迟|皇甫|慕容|令狐|公孙|夏侯|[{_SURNAMES}])\w{{1,2}}"
)
"""The name of a person by its surname, or a foreign one with a dot."""

# By the end of a phrase, in the order of trial.
_BY_END: tuple[tuple[Sort, re.Pattern[str]], ...] = (
    (
        "person",
        re.compile(
            r"\w(?:先生|女士|小姐|老师|某某?|同学|教授|医生|院长|局长|书记|主任|主席|队长|家长|夫妇"
            r"|夫妻|兄弟|姐妹|孩子|[人们者员生民])$"
        ),
    ),
    (
        "organisation",
        re.compile(
            r"(?:公司|集团|企业|[工药电水]厂|医院|学校|大学|学院|[中小]学|幼儿园|政府|办公室|中心"
            r"|银行|证券|基金|协会|联盟|学会|商会|平台|机构|法院|检察院|超市|酒店|俱乐部"
            r"|\w\w[局厅部委院所馆社队团厂])$"
        ),
    ),
    (
        "place",
        re.compile(r"(?:[省市区县镇乡村州国岛路街湖山河江港]|街道|社区|地区|园区|广场|机场|车站)$"),
    ),
)
_NAME_TAGS = ("nr", "ns", "nt", "nz", "eng")
_NOMINAL_TAGS = ("n", "vn", "an", "j", "l", "b", "eng", "s", "i", "m", "q", "zg", "g")


def sort_of(text: str) -> Sort:
    """Tell what a phrase names, by how it ends."""
    folded = fold(text).text.strip(fold(QUOTES).text + " ")
    words = tagged(folded)
    if not words or QUANTITY.fullmatch(folded):
        return "amount" if words else "thing"
    if DATE.fullmatch(folded) or all(word.tag == "t" for word in words):
        return "time"
    for sort, pattern in _BY_END:
        if pattern.search(folded):
            return sort
    common = any(len(word.text) > 1 and not word.tag.startswith("nr") for word in words)
    if _FULL_NAME.fullmatch(folded) and not common:
        return "person"
    tags: dict[str, Sort] = {"nt": "organisation", "ns": "place"}
    return tags.get(words[-1].tag, "thing")


def named(text: str) -> bool:
    """Tell whether a phrase holds a name."""
    return any(
        word.tag.startswith(_NAME_TAGS) and (word.tag != "nr" or word.text[0] in _SURNAMES)
        for word in tagged(text)
    )


def nominal(word: Word) -> bool:
    """Tell whether a word can be part of a noun phrase."""
    return word.tag.startswith(_NOMINAL_TAGS) and word.text not in ("请问", "问")
