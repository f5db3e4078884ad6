"""Small DOCX packages of our own making, from WordprocessingML as a test writes it.

Knows nothing of the service that reads them.
"""

from __future__ import annotations

import io
import zipfile

TRANSITIONAL = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main"
_COMPATIBILITY = "http://schemas.openxmlformats.org/markup-compatibility/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'


def paragraph(text: str, style: str = "") -> str:
    """Return a ``w:p`` of one run."""
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def table(*rows: tuple[str, ...]) -> str:
    """Return a ``w:tbl`` of plain cells."""
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def build_docx(body: str, *, namespace: str = TRANSITIONAL, **parts: str) -> bytes:
    """Write a package whose body is ``body``.

    ``parts`` are the contents of further parts by their kind, as in ``footnotes="<w:footnote …>"``; a number at the end
    of the kind tells apart parts of one kind, as in ``header1``.
    """
    members = {
        "[Content_Types].xml": f'{_DECLARATION}<Types xmlns="{_PACKAGE}/content-types"/>',
        "_rels/.rels": _relations({"officeDocument": "word/document.xml"}),
        "word/_rels/document.xml.rels": _relations({part: f"{part}.xml" for part in parts}),
        "word/document.xml": _root("document", f"<w:body>{body}</w:body>", namespace),
    }
    for part, content in parts.items():
        kind = part.rstrip("0123456789")
        members[f"word/{part}.xml"] = _root({"header": "hdr", "footer": "ftr"}.get(kind, kind), content, namespace)
    return build_zip(members)


def build_zip(members: dict[str, str]) -> bytes:
    """Write a ZIP, deflated, the same bytes every time."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in members.items():
            member = zipfile.ZipInfo(name, date_time=(2024, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(member, content)
    return out.getvalue()


def _root(name: str, content: str, namespace: str) -> str:
    return f'{_DECLARATION}<w:{name} xmlns:w="{namespace}" xmlns:mc="{_COMPATIBILITY}">{content}</w:{name}>'


def _relations(targets: dict[str, str]) -> str:
    relations = "".join(
        f'<Relationship Id="r{i}" Type="{_OFFICE}/{kind.rstrip("0123456789")}" Target="{target}"/>'
        for i, (kind, target) in enumerate(targets.items())
    )
    return f'{_DECLARATION}<Relationships xmlns="{_PACKAGE}/relationships">{relations}</Relationships>'
