"""Measures: the quantities and dates of folded Chinese text, as patterns."""

from __future__ import annotations

import re

from index.fold import Folded

_DIGITS = r"(?:(?<!\d)\d{1,3}(?:,\d{3})+(?![\d])|\d+)(?:\.\d+)?"
_MIXED = rf"{_DIGITS}(?:[万亿]零?\d+(?=[百千万]))?"
"""Digits with a scale between them: 1万2千."""
_NUMERAL = (
    rf"(?:{_MIXED}|(?:[几数](?=[十百千万亿]))?"
    r"(?:[一二三四五六七八九十百千两〇半]|(?<=[几数])[万亿]|零(?=点?[一二三四五六七八九]))"
    r"[一二三四五六七八九十百千万亿〇零点]*)"
)
_SCALE = r"(?:[多余来几]?[百千万亿兆]{0,3}[多余]?)"
_TIME_UNIT = (
    r"(?:个?(?:工作日|小时|月|星期|世纪|季度|学期)|分钟|秒钟?|天|日(?=[以之]?内)|周年?|年(?![0-9底初末])|岁|载)"
    r"(?:半(?!夜))?"
)
# Words that begin with a unit: 1600万家庭 is no 1600万家, 5批次 no 5批.
_WORD_UNIT = (
    r"(?:户?家庭|家长|人[口才]|股[民东]|部门|省份|街道|村庄|[县市]区|号[线楼]"
    r"|[场批架台辆班例件艘列户]次)"
)
_UNIT = (
    rf"(?:{_TIME_UNIT}|{_WORD_UNIT}|个?百分点|%|‰|°c|摄氏度|度|平方公里|平方千米|平方米|立方米"
    r"|公里|千米|厘米|毫米|米|公顷|亩|英里|英尺|海里|亿?美元|欧元|日元|港元|英镑|卢布|人民币|元|块钱?|吨|公斤|千克"
    r"|克|斤|磅|升|千瓦时?|兆瓦|瓦|人次|人|名|位|户|家|所|座|项|条|支|只|套|台|辆|架|艘|种|类|部|本"
    r"|篇|份|件|次|场|届|层|栋|间|张|对|双|片|块|股|代|期|批|点|成|倍|字|页|集|票|胜|球|枚|颗|棵|株"
    r"|头|匹|桶|步|首|卷|章|幅|道|口|组|队|班|门|个|处|款|例|起|宗|笔|发|样|轮|强|大|级|号|街|站|线"
    r"|路|世|任|师|团|营|连|军|国|省|市|县|镇|乡|村"
    r"|(?:[kcm]?m[23]?|kg|k?wh?|mw|kv|[kmgt]b|ml)(?![a-z0-9]))"
)
_PER = (
    r"(?:/(?:工作日|小时|分钟|天|日|周|个?月|季度|学期|年|人|次|户|吨|度|亩|公斤|斤|平方米|平米"
    r"|立方米|m[23]|套|件|辆))"
)
_MORE = r"(?:以上|以下|以内|之内|内(?![容部外地设含在科存])|以外|左右|上下|[多余])?"
_ABOUT = r"(?:约|近|超过?|逾|不足|不到|至少|最多|将近|大约|接近|第)"
_TO = r"(?:至|到|-|~)"
_BELOW_ZERO = r"(?:零下|负|(?<![a-z0-9])-)"
QUANTITY = re.compile(
    rf"{_BELOW_ZERO}{_DIGITS}(?:{_TO}-?{_DIGITS})? ?(?:°c|摄氏度|度|%|个?百分点)"
    rf"|(?:{_ABOUT} ?)?(?:{_NUMERAL}{_SCALE}{_UNIT}?{_TO})?"
    rf"(?:{_NUMERAL}个?小时(?:{_NUMERAL}分钟?|半)|{_NUMERAL}个半(?:小时|星期|月|学期)"
    rf"|[¥$€]?{_MIXED}(?: ?{_SCALE} ?{_UNIT}|{_SCALE})|{_NUMERAL}{_SCALE}{_UNIT}){_PER}?{_MORE}"
    rf"|百分之{_NUMERAL}|\d+分之\d+|{_NUMERAL}分之{_NUMERAL}"
)
"""A number with its unit and what qualifies it: 约100亿元, 3个工作日以内, 180余人."""

_PART_OF_DAY = r"(?:上午|下午|晚上?|凌晨|中午|傍晚|早上|夜)"
_DAY = (
    rf"(?:\d{{1,2}} ?|[一二三四五六七八九十]{{1,3}})(?:日(?![以之]?内)|号(?![线楼])){_PART_OF_DAY}?"
    r"(?: ?\d{1,2} ?[时点](?: ?\d{1,2} ?分|半|许)?)?"
)
_MONTH = (
    r"(?:\d{1,2} ?|[一二三四五六七八九十]{1,2})月"
    rf"(?:份|底|初|末|中旬|上旬|下旬|(?: ?{_DAY}))?"
)
_YEAR = (
    r"(?:(?:公元前?|西元前?|民国)?(?:\d{2,4} ?|[一二三四五六七八九〇零]{2,4})年代?"
    r"|[今去前明后当同次翌每]年|(?:公元)?前?(?:\d{1,2}|[一二三四五六七八九十]{1,3})世纪"
    r"(?:(?:\d{2}|[一二三四五六七八九]十)年代)?[初末中]?期?)"
)
_HOUR = r"(?:\d{1,2} ?|[一二三四五六七八九十]{1,3})[时点]"
_CLOCK = (
    rf"(?:{_PART_OF_DAY}? ?\d{{1,2}}:\d{{2}}(?::\d{{2}})?"
    rf"|{_PART_OF_DAY}? ?{_HOUR}(?: ?\d{{1,2}} ?分|钟)|{_PART_OF_DAY} ?{_HOUR}[半许]?)"
)
_WEEKDAY = (
    rf"[每本这上下]?(?:周|星期|礼拜)[一二三四五六日天](?!气)(?: ?(?:{_CLOCK}|{_PART_OF_DAY}))?"
)
_ONE_DATE = (
    rf"(?:{_WEEKDAY}|{_YEAR}(?: ?{_MONTH}|[底初末间]|[春夏秋冬]季?)?|{_MONTH}|{_DAY}"
    rf"|[年月]底|[年月]初|年末|\d{{4}}[-/]\d{{1,2}}[-/]\d{{1,2}}(?: {_CLOCK})?|{_CLOCK})"
)
DATE = re.compile(rf"(?:近|未来|过去)?{_ONE_DATE}(?:{_TO}{_ONE_DATE})?")
"""A date, a time or a span between two."""

DURATION = re.compile(rf"(?:{_ABOUT} ?)?{_NUMERAL}{_SCALE} ?{_TIME_UNIT}{_MORE}$")
"""A quantity of time at the end of a text."""


def apart(folded: Folded, source: str) -> str:
    """Return the folded text of a source with 、 as ";", which folding made a comma.

    So no list of numbers is taken for one in thousands: "50、100、200元".
    """
    if "、" not in source:
        return folded.text
    return "".join(
        ";" if char == "," and source[at] == "、" else char
        for char, at in zip(folded.text, folded.offsets, strict=True)
    )
