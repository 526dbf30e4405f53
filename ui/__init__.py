"""People's ways in: the command line and the web page."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the sources can be run without an install
    raise SystemExit(
        "问据需要 Python 3.11 到 3.13，而这是 {0}.{1}。 "
        "wenju needs Python 3.11 to 3.13; this is {0}.{1}.".format(*sys.version_info)
    )
