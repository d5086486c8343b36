"""Reading the files of clerks: XLSX, old XLS, CSV and JSON lines, in a process of their own with limits.

What a file is, its content says, never its name. What was decided, input by input (reliability.md 3, 75 to 97):

- A workbook's zip directory is inspected first: at most 1,000 members, none encrypted, none with a name that climbs,
  none twice, no DTD or entity in any part that is read, parts bounded while they are inflated (a declared size that
  lies is found by then). Of its parts, only the sheet, the shared strings and the styles are read; drawings, comments
  and embedded files never are.
- Rows without a value are passed over before they cost anything, so a sheet formatted to its last row is harmless;
  the dimension a sheet declares is used for the progress bar alone.
- A formula counts as the value it was saved with; one saved without a value is a fault of its cell, as is an error
  value such as ``#REF!``. Links to other workbooks are never followed.
- A workbook with macros is refused, as are encrypted ones, ODS, XLSB, and web pages that are named ``.xls``.
- Cells below a merged or first one are blank to us: who reads the rows lets a blank household column mean the
  household above. Hidden rows are read, and the report says how many there were.
- Dates are read by the workbook's own epoch, 1900 or 1904.
- One sheet is read: the visible one with a header we know and rows below it. Two are refused rather than one forgotten.
- CSV is UTF-8 with or without a mark, UTF-16 with one, or GB18030; broken UTF-8 is refused and never read as another
  encoding. NUL, an unbalanced quote and a field beyond 32,767 characters are refused.
- Old XLS files cannot be read in pieces nor asked for formulas: the limits on memory and time hold them.
"""
