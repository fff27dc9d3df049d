"""A report with every kind of block, in which every text is a given one; and texts that would run if a page let them."""

from __future__ import annotations

from collections.abc import Iterable

from pipeline.show.report import (
    Bar,
    Bars,
    Course,
    Example,
    Facts,
    Fold,
    Histogram,
    Matrix,
    Range,
    Ranges,
    Reliability,
    Report,
    Section,
    Table,
    Tile,
)

RUN = "window.__pwned=1;document.title='PWNED'"
PAYLOADS = (
    f"<script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f"<!--<script>{RUN}</script>",
    f"--><script>{RUN}</script>",
    f"]]><script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f'<img src=x onerror="{RUN}">',
    f'"><img src=x onerror={RUN}>',
    f"'><svg onload={RUN}>",
    f'" onmouseover="{RUN}" x="',
    f"' autofocus onfocus='{RUN}",
    f"</title><script>{RUN}</script>",
    f"</style><script>{RUN}</script>",
    f"</textarea><script>{RUN}</script>",
    f"</pre></bdi></td><script>{RUN}</script>",
    f"<svg><script>{RUN}</script></svg>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s>",
    f'<math><mi//xlink:href="data:x,<script>{RUN}</script>">',
    f'<iframe src="javascript:{RUN}"></iframe>',
    f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    f'<object data="javascript:{RUN}"></object>',
    f'<a href="javascript:{RUN}" autofocus>x</a>',
    f"<body onload={RUN}>",
    f"<details open ontoggle={RUN}>",
    f"<video><source onerror={RUN}></video>",
    f"<marquee onstart={RUN}>",
    f'<meta http-equiv=refresh content="0;url=javascript:{RUN}">',
    '<base href="https://example.invalid/">',
    "<style>*{display:none}</style>",
    f"{{{{ ''.__class__ }}}} {{% raw %}} ${{{RUN}}} `{RUN}`",
    f"\\u003cscript\\u003e{RUN}\\u003c/script\\u003e",
    f"&lt;script&gt;{RUN}&lt;/script&gt;",
    f"+ADw-script+AD4-{RUN}+ADw-/script+AD4-",
    f"\u2028{RUN}\u2029{RUN}",
    f"\x00<script\x00>{RUN}</script>",
)


def report(texts: Iterable[str], rows: Iterable[str] = ()) -> Report:
    """With the texts at every place where one from data, a config or a server can stand; `rows`: in rows to look at alone."""
    listed = list(texts)
    first = listed[0]
    counts = {(one, one): 1 for one in listed}
    return Report(
        name=first,
        headline=first,
        made=first,
        warnings=listed,
        tiles=[Tile(text, text, text) for text in listed],
        sections=[
            Section(
                first,
                [
                    Facts([(text, text) for text in listed]),
                    Bars(first, [Bar(text, 1, text, text) for text in listed], first, "status"),
                    Histogram(first, [0, 1, 2], [3, 4], [(text, 1.0) for text in listed], first, first, 9.0),
                    Course(first, 0.0, 1.0, [1.0, None, 2.0], first, first),
                    Table(first, listed, [listed], note=first),
                    Matrix(first, listed, listed, counts, first),
                    Ranges(first, [Range(text, 0.5, 0.4, 1.7, text, text) for text in listed], first),
                    Reliability(
                        first, [Range(text, 0.5, 0.4, 0.6, text, text) for text in listed], [0.5] * len(listed), note=first
                    ),
                    Fold(first, first, text=first, table=Table(first, listed, [listed])),
                ],
                first,
                brief=True,
            )
        ],
        examples=[Example(text, "ok", [(text, text)], text, text, text, text) for text in (*listed, *rows)],
        examples_note=first,
    )
