"""Three documents for tests of libraries."""

from index.documents import Document

TOWN = Document(
    "town.txt",
    "教育小镇",
    "# 教育小镇落户\n\n江苏港利集团计划总投资约100亿元的教育小镇成功落地。项目占地五百亩。\n\n"
    "# 医疗合作\n\n市人民医院与上海东方肝胆医院建立协作关系。",
    "/文档/town.txt",
    {"published": "2019-10-29"},
)
RIVER = Document("river.txt", "河长", "淮河流域全面推行河长制，水质明显改善。", "/文档/river.txt")
RAIL = Document("rail.txt", "高铁", "淮北到上海的高铁今年开通，全程三小时。", "/文档/rail.txt")
ALL = [TOWN, RIVER, RAIL]
