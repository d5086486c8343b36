"""A verification as a page for the telephone that scanned the code: whole in itself, loads nothing. Pure."""

from html import escape

from services.registry.certificates.schemas import CertificateOut
from shared.errors import Language, Text

_TITLE = Text("Honour certificate", "脱贫光荣证核验")
_UNKNOWN = Text("There is no such certificate.", "查无此证。")
_STATUS = {"valid": Text("valid", "有效"), "withdrawn": Text("withdrawn", "已注销")}
_NUMBER, _STATE = Text("Number", "证书编号"), Text("Status", "状态")
_VILLAGE, _YEAR = Text("Village", "所在村"), Text("Year of exit", "脱贫年度")
_SINCE = Text("Withdrawn on", "注销日期")
_STYLE = (
    "body{font:18px/1.7 sans-serif;max-width:30rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "h1{color:#b3191f;font-size:1.5rem}dt{color:#777;font-size:.9rem}dd{margin:0 0 .8rem}"
)


def verified(number: str, shown: CertificateOut | None, language: Language) -> str:
    """The page of a certificate, or of a number that none has."""
    title = _TITLE.of(language)
    return (
        f"<!doctype html><html lang='{'zh-CN' if language == 'zh' else 'en'}'><meta charset='utf-8'>"
        f"<meta name='viewport' content='width=device-width'><title>{title}</title><style>{_STYLE}</style>"
        f"<h1>{title}</h1>{_body(number, shown, language)}</html>"
    )


def _body(number: str, shown: CertificateOut | None, language: Language) -> str:
    if shown is None:
        return f"<p>{_UNKNOWN.of(language)}</p>"
    rows = [(_NUMBER, number), (_STATE, _STATUS[shown.status].of(language))]
    if shown.withdrawn_on is not None:
        rows.append((_SINCE, shown.withdrawn_on.isoformat()))
    rows += [(_VILLAGE, shown.village), (_YEAR, str(shown.year))]
    told = "".join(f"<dt>{label.of(language)}<dd>{escape(value)}" for label, value in rows)
    mark = f"<p>{escape(shown.watermark)}</p>" if shown.watermark else ""
    return f"<dl>{told}</dl>{mark}"
