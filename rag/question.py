"""What a question asks for: its kind, the unit or noun in focus, and where its gap is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from index.fold import fold, has_chinese
from index.words import Word, tagged

Kind = Literal[
    "number",
    "date",
    "duration",
    "person",
    "place",
    "organisation",
    "thing",
    "list",
    "yes-no",
    "why",
    "how",
    "summary",
    "meta",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

_ORGANISATIONS = "公司|企业|医院|单位|部门|机构|学校|大学|集团|银行|组织|协会|媒体|报社"
_PLACES = "地方|城市|地区|国家|省份?|县|市|区|镇|乡|村|街道|州|洲|岛|国"
_TIMES = "年代?|月份?|日期?|天|号|季度|世纪|时期|朝代|时候|时间|时刻|届"
_DURATIONS = "个?工作日|天|年|个?月|个?小时|分钟|秒钟?|周|个?星期|个?世纪|个?季度"
_HOW_MANY = "(?<![近这前后去来好])几"
"""Not "近几年", "过去几年", "好几次"."""

# In the order of trial: the first that matches wins. The matched text is the question's gap.
_CHINESE: tuple[tuple[Kind, str], ...] = (
    (
        "why",
        r"为什么|为何|为啥|缘何|何以|怎么会"
        r"|(?:是|有)?(?:什么|何|哪些)(?:原因|缘故|理由|目的)",
    ),
    (
        "list",
        r"哪些|哪几\w?|哪[两二三四五六七八九十\d]+\w?|有些什么|都有(?:什么|谁|啥)"
        r"|分别(?:是|有|为|叫|在)?(?:什么|谁|哪\w|多少)|什么(?=[^,.?]*分别)|列[出举]",
    ),
    (
        "date",
        rf"(?:什么|啥|何|哪个|哪一个|哪一?)(?:{_TIMES})|哪年|哪天|何[时年月日]|几时|多会儿"
        r"|几月(?:几[日号])?|几[日号](?![人楼线窗门馆])|(?:星期|周|礼拜)几"
        r"|几点钟?(?!.?(?:意见|建议|要求|希望|看法|想法|措施|原因|体会|内容|说明|经验|问题))",
    ),
    ("duration", rf"多久|多长时间|(?:多少|{_HOW_MANY})(?:{_DURATIONS})|多少时间"),
    (
        "number",
        rf"百分之(?:几|多少)|第?{_HOW_MANY}(?!乎)|多少|几成|多[高长大远重快宽深厚]|何等规模",
    ),
    ("person", r"谁|哪(?:一)?位|什么人|何人|哪个人"),
    ("place", rf"哪里|哪儿|何[处地]|(?:什么|哪一?[个座]?|啥)(?:{_PLACES})|在哪"),
    ("organisation", rf"哪(?:一)?[家所]|(?:什么|哪个|哪一个|啥)(?:{_ORGANISATIONS})"),
    ("how", r"怎么样?|怎样|如何|什么(?:方式|办法|方法|措施|手段|途径)|咋样?|何种(?:方式|方法)"),
    (
        "thing",
        r"(?:什么|啥)样?的?|何(?:种|物|事|谓|名)|(?<=[为由以与和被在从])何"
        r"|哪(?:一)?[个种项条款部本支场次届类件座份门只台首篇张]?",
    ),
)
_ENGLISH: tuple[tuple[Kind, str], ...] = (
    ("why", r"\bwhy\b|\bwhat (?:is|was|are) the reasons?\b"),
    ("duration", r"\bhow long\b|\bhow many (?:working )?(?:days|years|months|hours|minutes)\b"),
    (
        "number",
        r"\bhow (?:many|much|large|big|high|far|tall|fast)\b"
        r"|\bwhat (?:percentage|number|amount|share)\b",
    ),
    ("date", r"\bwhen\b|\bwhat (?:year|date|time|day|month)\b|\bwhich (?:year|date|day|month)\b"),
    ("person", r"\bwhom?\b|\bwhose\b"),
    ("place", r"\bwhere\b|\b(?:which|what) (?:city|country|province|place|region)\b"),
    (
        "list",
        r"\b(?:which|what) (?:\w+ ){0,3}\w+(?<!s)s (?:are|were|have|did|do)\b"
        r"|\bwhat are\b|\blist\b|\bname the\b",
    ),
    (
        "organisation",
        r"\b(?:which|what) "
        r"(?:company|hospital|organi[sz]ation|university|group|newspaper|agency|firm)\b",
    ),
    ("how", r"\bhow\b"),
    ("thing", r"\bwhat\b|\bwhich\b"),
)
_YES_NO = re.compile(
    r"是否|是不是|有没有|会不会|能不能|可不可以|对不对|有无"
    r"|(?:吗|(?<![什怎这那要])么|没有|没|(?<!差)不)[?!.\s]*$"
)
_YES_NO_ENGLISH = re.compile(
    r"^(?:is|are|was|were|did|does|do|has|have|had|can|could|will|would)\b"
)
_TELLS = r"(?:讲|说|写|谈)"
_WHAT = r"(?:什么|啥)"
_SUMMARY = re.compile(
    r"(?:文章|全文|报道|文档|新闻|材料|资料|内容|通篇|本文|这篇|主要|大概|总体|(?<!成)都)[^,.?]{0,6}"
    rf"(?:{_TELLS}|介绍|报道|描述)(?:了|的)?是?(?:些|哪些)?{_WHAT}"
    r"(?:内容|事情?|东西|故事)?[呢呀啊]?(?=[,?!.\s]|$)"
    rf"|{_TELLS}(?:了|的)是?些?{_WHAT}(?:内容|事情?)?[?!.\s]*$"
    r"|大意|主旨|中心思想|主要内容"
    r"|\bsummar|\bmain (?:idea|points?|topic)|\babout what\b|\btl;?dr\b"
    r"|\b(?:article|document|text|news|story) (?:is )?about\b"
)
_SUMS = r"(?:概括|概述|总结|摘要|归纳|梳理|整理|简要介绍|简述)"
_DEMAND = (
    r"(?:请|麻烦|帮我|帮忙|给我|为我|替我|你|您|能不能|能否|可不可以|可以|能|再|先|我?想要?"
    r"|简单|简要(?!介绍)|大致|简短|地|用.{1,8}?[句段个](?:话|文字|字)?|[,\s])*+"
)
# A request for a summary begins or ends with it. Only where nothing else is asked: "概括成了哪
# 六个字" wants the six, "整理档案收费吗" whether.
_SUM_UP = re.compile(
    rf"^{_DEMAND}{_SUMS}(?![会费员好])"
    rf"|{_SUMS}(?:一?下|一遍|出来)"
    rf"|(?:[把将]|帮我|帮忙|[给替为]我)[^?]*{_SUMS}|对[^?]*(?:进行|做|作)个?{_SUMS}"
    rf"|{_SUMS}吧?[?!.\s]*$"
    rf"|^{_DEMAND}(?:说说|讲讲|谈谈|说一说|讲一讲|介绍一下|介绍下|描述一下|说明一下)"
)
_PERMISSION = re.compile(
    r"^(?:请问)?[你您]?(?:能|可以|可不可以)|(?:好|行|可以)(?:[吗么]|不[好行可])|一?下[吗么]?[?!.\s]*$"
)
_BRIEFLY = re.compile(r"用?(?:一|两|三|几|\d)(?:两|三|五)?[句段](?:话|文字)?")
_GREETING = (
    r"(?:你好|您好|嗨|哈喽|哈啰|喂|早上好|上午好|下午好|晚上好|早安|晚安|在吗|谢谢|多谢|感谢"
    r"|辛苦了|再见|拜拜|[嗯哦噢哈呵嘿]|好吧|好的?|行吧?|可以|是的?|对的?|知道了|明白了?|懂了|收到"
    r"|没事了?|没有了|不用了?|ok(?:ay)?|yes|no|hi|hello|hey|thanks?|thank you|bye"
    r"|good (?:morning|evening|afternoon))"
)
_CAN = r"(?:可以|能够?|会)(?:做|干|帮我做?|回答|问)?你?(?:些|哪些)?"
_META = re.compile(
    rf"^(?:{_GREETING}(?:你|您|啊|呀|哦|了|们|there|you|[,.!?~\s])*+)++$"
    r"|^\W*[a-z\d]?\W*$"  # says nothing at all
    r"|^(?:你好|您好|请问|hi|hello|[,.!?\s])*(?:你|您|这个系统|这里|本系统|you)?"
    rf"(?:(?:到底|究竟)?是谁|是{_WHAT}(?:东西|系统|机器人)?|叫{_WHAT}(?:名字)?"
    rf"|{_CAN}{_WHAT}(?:问题|事情?)?|有(?:什么|哪些)(?:功能|用处|用))[呀啊呢吗吧]*[?!.\s]*$"
    rf"|^我?(?:能|可以|应该|该)(?:向你|跟你|问你|问)?[些问]?(?:{_WHAT}|哪些)(?:问题)?[?!.\s]*$"
    r"|^(?:请问)?(?:你|您|它|这|这个|本)?(?:工具|软件|系统|程序|网站|网页|机器人|助手|东西)?"
    r"(?:该|要|应该)?"
    r"(?:怎么用|怎么使用|如何使用|如何用|怎样使用|使用(?:说明|方法)|帮助|help|help me)"
    r"(?:你|这个|本系统)?[呀啊呢]*[?!.\s]*$"
    r"|^(?:what can you do|who are you|what are you|what can i ask"
    r"|how (?:do|can) i use (?:this|you))[\s\w]*[?.!\s]*$"
    r"|^你?(?:这里|库里|知识库|资料库|文档库)?里?都?有(?:什么|哪些)(?:文档|资料|文件|文章)[?!.\s]*$"
)
_MOMENT = (
    r"(?:今[天日早晚儿]|明[天日早晚儿]|昨[天日晚儿]|后天|现在|这会儿|此刻|目前|外[面头]|最近|这几天|[这本下]?周末"
    r"|[这本下]?(?:周|星期)[一二三四五六日天]|我这[里儿]|[这那]边)"
)
_OF_THE_MOMENT = re.compile(
    rf"^(?:请问)?{_MOMENT}[^,]{{0,6}}?(?:天气|气温|温度|[下有]不?[下有]?[雨雪]|[几多少]+度|冷不冷|热不热|[冷热]吗"
    r"|带伞|放晴)[^,]{0,8}$"
    rf"|^(?:请问)?{_MOMENT}的?(?:日期|时间)?[是又到]*"
    r"(?:几月)?(?:(?:几|多少)[日号]|几点钟?|(?:星期|周|礼拜)几)(?:了|[啊呀呢])*\W*$"
    r"|^(?:请问)?(?:几点了|[今明]天的?(?:日期|农历)[^,]{0,6})\W*$"
    r"|\bweather\b.*\b(?:today|tomorrow|now|outside)\b|\bwill it (?:rain|snow)\b"
    r"|\bwhat(?:'s| is)? (?:the )?(?:day|date|time)(?: is it)?(?: today| now)?\W*$"
)
_THANKS = re.compile(r"^(?:谢谢|多谢|感谢(?!信)|辛苦(?!费)|thanks?|thank you)[,.!~\s]*")
# With what they are for, if nothing is asked.
_THANKS_ONLY = re.compile(_THANKS.pattern + r".{0,12}$")

_TELLS_OF_THE_MOMENT = re.compile(
    r"天气|气温|[降阵][雨雪]|[大中小暴][雨雪]|℃|星期[一二三四五六日天]"
)
# Attributes that name what is asked when a question has no question word ("教育小镇总投资").
_BARE: tuple[tuple[Kind, str], ...] = (
    ("date", r"(?:时间|日期|年份)(?:是|为)?$"),
    ("place", r"(?:地点|地址|位置|所在地)(?:是|为)?$"),
    (
        "number",
        r"[总年]?(?:投资|资金|产值|营收|收入|产量|产能|规模|面积|人数|数量|金额|比例|占比|价格"
        r"|费用|成本|里程|长度|高度|海拔|均价|销量|销售额|增速|增幅|[率额量数价])(?:是|为|有)?$",
    ),
)
_UNIT = re.compile(
    r"^(?:个|万|亿|多|余|来)*(?:平方米|平方公里|公里|公顷|千米|厘米|毫米|立方米|米|亩|美元|欧元"
    r"|日元|港元|元|块钱?|钱|吨|公斤|千克|克|斤|岁|度|倍|分|人次|人|名|位|户|家|所|座|项|条|支"
    r"|只|套|台|辆|架|艘|种|类|部|本|篇|份|件|次|场|届次?|层|栋|间|张|对|双|片|块|股|代|期|批|点"
    r"|成|个百分点|%|个|瓦|千瓦时?|度电|字|页|集数?|票|胜|球|枚|金|颗|棵|株|头|匹|桶|升|里|步|秒"
    r"|分钟|小时|天|年|月|周|日)"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question taken apart.

    `text` is folded (see `index.fold`); `[gap_start, gap_end)` is the question word in it, the
    hole that the answer fills, empty at the end where there is none. `focus` is the noun that
    the answer should be one of ("哪家医院" → 医院), `unit` the measure that it should have
    ("多少亩" → 亩); both "" where not said. `words` are its words with their tags.
    """

    text: str
    kind: Kind
    gap_start: int
    gap_end: int
    focus: str
    unit: str
    words: tuple[Word, ...]
    chinese: bool

    @property
    def several(self) -> bool:
        """Whether more than one thing is asked: a list, or pairs of things."""
        return self.kind == "list" or "分别" in self.text or "respectively" in self.text

    @property
    def of_the_moment(self) -> bool:
        """Whether it asks for the weather, the clock or the calendar where the asker is."""
        return bool(_OF_THE_MOMENT.search(self.text))

    @property
    def before(self) -> str:
        """The text in front of the gap."""
        return self.text[: self.gap_start]

    @property
    def after(self) -> str:
        """The text behind the gap, without the closing mark."""
        return self.text[self.gap_end :].rstrip("?!。.吗呢呀啊的 ")


def ends_as_question(text: str) -> bool:
    """Tell whether a sentence ends as a question."""
    return text.rstrip().endswith(("?", "？"))


def tells_of_the_moment(text: str) -> bool:
    """Tell whether a text speaks of weather or days, which makes such questions its own."""
    return bool(_TELLS_OF_THE_MOMENT.search(fold(text).text))


def analyse(question: str) -> Asked:
    """Take a question apart by its wording; never fails, `thing` being the last resort."""
    text = fold(question).text.strip().replace("甚么", "什么")
    chinese = has_chinese(text)
    kind, start, end = _kind_and_gap(text, chinese)
    words = tuple(tagged(text))
    focus = _focus(words, start, end)
    unit = ""
    if kind in ("number", "duration") and (match := _UNIT.match(_unit_text(text, start, end))):
        unit = match.group()
    return Asked(text, kind, start, end, focus, unit, words, chinese)


def _kind_and_gap(text: str, chinese: bool) -> tuple[Kind, int, int]:
    bare = text.rstrip("?!。. ")
    found = _first_gap(text, _CHINESE if chinese else _ENGLISH)
    yes_no = (_YES_NO if chinese else _YES_NO_ENGLISH).search(_THANKS.sub("", text))
    attribute: Kind | None = next(
        (kind for kind, pattern in _BARE if re.search(pattern, bare)), None
    )
    thanks = _THANKS_ONLY.search(text) and not (found or yes_no or attribute)
    if thanks or _META.search(text):
        return "meta", len(bare), len(bare)
    sums_up = _SUM_UP.search(text) and not _first_gap(_BRIEFLY.sub("", text), _CHINESE)
    if _SUMMARY.search(text) or (sums_up and not (yes_no and not _PERMISSION.search(text))):
        return "summary", len(bare), len(bare)
    if yes_no and not (found and found[0] != "thing"):
        return "yes-no", len(bare), len(bare)
    if found:
        return found
    return attribute or "thing", len(bare), len(bare)


def without_attribute(phrase: str) -> str:
    """Return a phrase without the attribute that it ends with: "教育小镇总投资" to 教育小镇."""
    for _, pattern in _BARE:
        phrase = re.sub(rf"的?{pattern}", "", phrase) or phrase
    return phrase


def _first_gap(text: str, patterns: tuple[tuple[Kind, str], ...]) -> tuple[Kind, int, int] | None:
    for kind, pattern in patterns:
        # The last question word is the one asked: "谁提出了什么" wants 什么.
        matches = list(re.finditer(pattern, text))
        if matches:
            return kind, matches[-1].start(), matches[-1].end()
    return None


def _unit_text(text: str, start: int, end: int) -> str:
    gap = re.sub(r"^(?:多少|几|第几|百分之几|百分之多少)", "", text[start:end])
    return gap + text[end:]


def _focus(words: tuple[Word, ...], start: int, end: int) -> str:
    """Return the head noun of the phrase that the question word opens or closes."""
    head = ""
    for word in (w for w in words if w.end > start):
        if word.start < end and word.tag.startswith(("r", "m", "q", "y")):
            continue
        if word.text in "的些个家种项" and not head:
            continue
        if not word.tag.startswith(
            ("n", "vn", "an", "l", "j", "b", "q", "m", "s", "t", "k", "g", "i")
        ):
            break
        head = word.text if word.tag[0] not in "mqb" else head
    return head or _subject(words, start)


def _subject(words: tuple[Word, ...], start: int) -> str:
    """Return the noun in front of "是什么", "叫什么": what the gap is equated with."""
    before = [w for w in words if w.end <= start]
    if before and before[-1].text in ("是", "叫", "为", "叫做", "有"):
        nouns = [w for w in before[:-1] if not w.tag.startswith(("d", "u", "x"))]
        if nouns and nouns[-1].tag.startswith(("n", "vn")):
            return nouns[-1].text
    return ""
