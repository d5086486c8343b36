"""A certificate as one page to print: A4, landscape. Pure: the same certificate gives the same bytes."""

from datetime import date
from io import BytesIO

from reportlab.graphics import renderPDF
from reportlab.graphics.barcode.qr import QrCodeWidget
from reportlab.graphics.shapes import Drawing
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from services.registry.certificates.service import Certificate

FONT = "STSong-Light"
"""A font that readers of PDF bring with them (Adobe-GB1), so that none is shipped."""
RED, GOLD, INK = HexColor("#b3191f"), HexColor("#c89b3c"), HexColor("#222222")
WIDTH, HEIGHT = landscape(A4)
CENTRE = WIDTH / 2
LEFT, TEXT_WIDTH, SIZE = 42 * mm, WIDTH - 84 * mm, 20


def render(certificate: Certificate, *, head: str, address: str, watermark: str | None) -> bytes:
    """The page; ``head`` is the name as the caller may see it, ``address`` what the QR code leads to."""
    pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    target = BytesIO()
    page = Canvas(target, pagesize=(WIDTH, HEIGHT), invariant=1)
    page.setTitle(f"脱贫光荣证 {certificate.number}")
    page.setAuthor("Bangfu 帮扶")
    if watermark is not None:
        _watermark(page, watermark)
    _border(page)
    _text(page, certificate, head)
    _qr_code(page, address, WIDTH - 66 * mm, 29 * mm, 30 * mm)
    page.showPage()
    page.save()
    return target.getvalue()


def _border(page: Canvas) -> None:
    for inset, width, colour in ((10, 3.0, RED), (13, 1.0, GOLD), (15, 0.6, RED)):
        page.setStrokeColor(colour)
        page.setLineWidth(width)
        page.rect(inset * mm, inset * mm, WIDTH - 2 * inset * mm, HEIGHT - 2 * inset * mm)
    page.setFillColor(GOLD)
    for x in (15 * mm, WIDTH - 15 * mm):
        for y in (15 * mm, HEIGHT - 15 * mm):
            page.circle(x, y, 2 * mm, stroke=0, fill=1)


def _text(page: Canvas, certificate: Certificate, head: str) -> None:
    page.setFillColor(RED)
    _spread(page, "脱贫光荣证", HEIGHT - 56 * mm, size=50, gap=14)
    page.setStrokeColor(GOLD)
    page.setLineWidth(1)
    page.line(CENTRE - 62 * mm, HEIGHT - 64 * mm, CENTRE + 62 * mm, HEIGHT - 64 * mm)
    page.setFillColor(INK)
    addressed = f"{certificate.village_name}  {head}  户："
    page.setFont(FONT, min(SIZE, SIZE * TEXT_WIDTH / pdfmetrics.stringWidth(addressed, FONT, SIZE)))
    page.drawString(LEFT, HEIGHT - 84 * mm, addressed)
    page.setFont(FONT, SIZE)
    for place, line in enumerate(
        (
            "　　经民主评议、入户核实、本户认可、村内公示和公告，",
            f"于{_day(certificate.issued_on)}达到脱贫标准，光荣脱贫。",
            "　　脱贫不脱政策，望再接再厉，勤劳致富。特发此证。",
        )
    ):
        page.drawString(LEFT, HEIGHT - (99 + 12 * place) * mm, line)
    page.setFont(FONT, 14)
    page.drawString(LEFT, 45 * mm, f"证书编号：{certificate.number}")
    page.drawString(LEFT, 35 * mm, f"发证日期：{_day(certificate.issued_on)}")
    page.setFillColor(HexColor("#888888"))
    page.drawCentredString(CENTRE + 12 * mm, 40 * mm, "（发证机关盖章）")
    page.setFont(FONT, 9)
    page.drawCentredString(WIDTH - 51 * mm, 25 * mm, "扫码核验")


def _spread(page: Canvas, text: str, y: float, *, size: float, gap: float) -> None:
    """Centred, with air between the characters."""
    page.setFont(FONT, size)
    total = len(text) * size + (len(text) - 1) * gap
    for place, character in enumerate(text):
        page.drawString(CENTRE - total / 2 + place * (size + gap), y, character)


def _qr_code(page: Canvas, address: str, x: float, y: float, side: float) -> None:
    widget = QrCodeWidget(address, barLevel="M")
    left, bottom, right, top = widget.getBounds()
    scale = side / max(right - left, top - bottom)
    drawing = Drawing(side, side, transform=[scale, 0, 0, scale, 0, 0])
    drawing.add(widget)
    renderPDF.draw(drawing, page, x, y)


def _watermark(page: Canvas, text: str) -> None:
    page.saveState()
    page.setFillColor(Color(0.7, 0.1, 0.1, alpha=0.10))
    page.setFont(FONT, 110)
    page.translate(CENTRE, HEIGHT / 2)
    page.rotate(25)
    page.drawCentredString(0, -35, text)
    page.restoreState()


def _day(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"
