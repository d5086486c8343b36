"""What the sender of a file that is refused is told. The codes are stable; nothing of the file is repeated."""

from services.registry.imports.sheets.refusals import RefusedFileError
from shared.errors import Fault, Text

_WHY: dict[str, Text] = {
    "file_empty": Text("the file is empty", "文件为空"),
    "file_kind": Text(
        "neither XLSX, XLS, CSV nor JSON lines; save it as .xlsx", "不是 XLSX、XLS、CSV 或 JSON 行文件,请另存为 .xlsx"
    ),
    "json_lines": Text(
        "JSON must be one household a line: no list, no line breaks within",
        "JSON 文件须每行一户,不能是数组,户内不能换行",
    ),
    "file_is_html": Text("a web page named as a workbook; save it as .xlsx", "文件实为网页,请在表格软件中另存为 .xlsx"),
    "file_encrypted": Text("the file is encrypted; remove its password", "文件已加密,请取消密码后再上传"),
    "file_macros": Text("the workbook holds macros; save it as .xlsx", "文件含宏,请另存为 .xlsx"),
    "file_damaged": Text("the file is damaged", "文件已损坏"),
    "file_suspicious": Text("the file is not made as a workbook should be", "文件结构异常,拒绝读取"),
    "file_too_demanding": Text(
        "reading the file takes more memory or time than allowed", "读取该文件超出内存或时间限制"
    ),
    "too_many_rows": Text("more rows than allowed; split the file", "行数超限,请拆分文件"),
    "encoding": Text("not UTF-8 and not GB18030; save it as UTF-8", "编码既非 UTF-8 也非 GB18030,请另存为 UTF-8"),
    "quote_unbalanced": Text("a quotation mark is never closed", "引号不成对"),
    "field_too_long": Text("a field is longer than 32,767 characters", "单元格内容过长(超过 32767 字)"),
    "nul": Text("NUL characters are not text", "文件含 NUL 字符"),
    "header_missing": Text("no row of column names was found", "未找到表头行"),
    "several_sheets": Text("several sheets hold data; put all rows on one", "多个工作表含数据,请合并到一个工作表"),
}


def fault_of(refused: RefusedFileError) -> Fault:
    """The refusal as a fault of the whole file."""
    return Fault("", refused.code, _WHY[refused.code])
