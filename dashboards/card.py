"""The figure as a small picture that any site may show with an `<img>`: no script, no cookie, nobody followed."""

from __future__ import annotations

from xml.sax.saxutils import escape

WIDTH, HEIGHT = 320, 132
COLOURS = {False: ("#ffffff", "#d5dce6", "#15202e", "#526173", "#0a5fb8"), True: ("#121924", "#223044", "#e6edf3", "#8b9bb0", "#4aa8ff")}  # fmt: skip
"""By night: ground, line, text, muted, accent; the front end's tokens."""


def card_svg(figure: tuple[str, float | None, int, str], english: bool, night: bool) -> str:
    """`figure`: region, share in time of the last 30 days (None: nothing to show), number of emergencies, last day."""
    region, share, n, until = figure
    ground, line, text, muted, accent = COLOURS[night]
    # a share over few is never printed to a digit it does not have
    number = "–" if share is None else f"{100 * share:.0f} %"
    bar = 0.0 if share is None else 288.0 * share
    if english:
        title, what, how = "Help within 7 minutes", "of emergencies, last 30 days", f"{n:,} emergencies · to {until}"
    else:
        title, what = "Ditolong dalam 7 menit", "keadaan darurat, 30 hari terakhir"
        how = f"{n:,} keadaan darurat · sampai {until}".replace(",", ".")
    if share is None:
        how = "No complete day yet" if english else "Belum ada hari yang lengkap"
    label = escape(f"{title}: {number} {what}. {how}. {region}", {'"': "&quot;"})
    font = 'font-family="IBM Plex Sans, Segoe UI, Roboto, Helvetica, Arial, sans-serif"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
        f' role="img" aria-label="{label}" {font}>'
        f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="6" fill="{ground}" stroke="{line}"/>'
        f'<text x="16" y="27" font-size="13" font-weight="600" fill="{text}">{title}</text>'
        f'<text x="304" y="27" font-size="12" text-anchor="end" fill="{muted}">112 {escape(region)}</text>'
        f'<text x="16" y="72" font-size="40" font-weight="600" fill="{text}">{number}</text>'
        f'<text x="122" y="71" font-size="12" fill="{muted}">{what}</text>'
        f'<rect x="16" y="86" width="288" height="6" rx="3" fill="{line}"/>'
        f'<rect x="16" y="86" width="{bar:.1f}" height="6" rx="3" fill="{accent}"/>'
        f'<text x="16" y="114" font-size="12" fill="{muted}">{how}</text></svg>'
    )
