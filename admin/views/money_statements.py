"""Operators' reports from a file: looked at first, then taken in. What was read stays in the page between the two."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import Blueprint, Response, make_response, redirect, request, url_for

from admin import words
from admin.money import MoneyParts, Refusal, act, by, payer, tried
from admin.parts import Parts, page, say
from core.i18n import N_
from core.reconciliation.model import FIELDS, Imported, Preview

MAX_BYTES = 10_000_000
LINE_KINDS = ("payment", "refund", "reversal", "fee", "payout", "other")
_ROWS = 8
_LISTS = ("formats", "done", "not_done")
_WORDS = ("decimal", "thousands", "zone", "default_kind", "delimiter", "encoding", "sheet")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way in. `kept`: itself, as the page carries it."""

    name: str
    data: bytes
    kept: str


@dataclass(frozen=True, slots=True)
class _Pages:
    """What the pages of reports share."""

    parts: Parts
    money: MoneyParts

    def show_list(self, refusal: Refusal | None = None) -> Response:
        wallet, currency = _wallet(self.money), request.values.get("currency", "")[:3]
        body = page(
            "money_statements.html",
            self.parts,
            wallet=wallet,
            currency=currency,
            names=tuple(self.money.wallets),
            currencies=sorted({code for w in self.money.wallets.values() for code in w.can.decimals}),
            fetched=[words.name("wallet", name) for name, w in self.money.wallets.items() if w.can.statements],
            refusal=refusal,
            imports=self.money.reconciliation.imports(wallet or None),
            zone=self.parts.zone,
            done=_done(),
        )
        return make_response(body, refusal.status if refusal else 200)

    def show_look(
        self, wallet: str, currency: str, upload: Upload, columns: Mapping[str, str], options: Mapping[str, object],
        *, guessed: bool, refusal: Refusal | None = None,
    ) -> Response:  # fmt: skip
        seen = tried(
            lambda: self.money.reconciliation.preview(
                wallet, currency, upload.name, upload.data, columns, options, rows=_ROWS
            )
        )
        preview = None if isinstance(seen, Refusal) else seen
        refusal = refusal or (seen if isinstance(seen, Refusal) else None)
        if preview is None and not columns:
            return self.show_list(refusal)
        body = page(
            "money_look.html",
            self.parts,
            wallet=wallet,
            currency=currency,
            upload=upload,
            preview=preview,
            headers=_headers(preview, columns),
            fields=FIELDS,
            columns=columns,
            options=_texts(options),
            kinds=LINE_KINDS,
            guessed=guessed,
            refusal=refusal,
            payer=payer,
            zone=self.parts.zone,
        )
        return make_response(body, refusal.status if refusal else 200)


def add_pages(admin: Blueprint, parts: Parts, money: MoneyParts) -> None:
    pages = _Pages(parts, money)

    @admin.get("/money/statements")
    def statements() -> Response:
        return pages.show_list()

    @admin.post("/money/statements/look")
    def look_at_statement() -> Response:
        wallet, currency = _wallet(money), request.form.get("currency", "")
        upload = _upload()
        if not wallet or currency not in money.wallets[wallet].can.decimals:
            return pages.show_list(Refusal(say(N_("Say whose report it is, and in which currency.")), 400))
        if isinstance(upload, Refusal):
            return pages.show_list(upload)
        if "mapped" in request.form:
            columns, options = _columns(), _options()
            return pages.show_look(wallet, currency, upload, columns, options, guessed=False)
        saved = money.reconciliation.saved_mapping(wallet, currency)
        if saved is None:
            return pages.show_look(wallet, currency, upload, {}, {}, guessed=True)
        return pages.show_look(wallet, currency, upload, saved.columns, saved.options, guessed=saved.guessed)

    @admin.post("/money/statements/import")
    def import_statement() -> Response:
        wallet, currency = _wallet(money), request.form.get("currency", "")
        upload = _upload()
        if not wallet or currency not in money.wallets[wallet].can.decimals or isinstance(upload, Refusal):
            return pages.show_list(upload if isinstance(upload, Refusal) else None)
        columns, options = _columns(), _options()
        answer: Imported | Refusal = act(
            parts, "statement.imported", f"{wallet} {currency}", f"{upload.name}, {len(upload.data)} bytes",
            lambda: money.reconciliation.import_file(
                wallet, currency, upload.name, upload.data, columns, options, by()
            ),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return pages.show_look(wallet, currency, upload, columns, options, guessed=False, refusal=answer)
        told = {
            "new": answer.new, "known": answer.known, "bad": answer.bad, "skipped": answer.skipped,
            "done": "again" if answer.repeated else "taken",
        }  # fmt: skip
        asked = urlencode({"wallet": wallet, "currency": currency, **told})
        return make_response(redirect(f"{url_for('admin.statements')}?{asked}", 303))

    _add_release(admin, pages)


def _add_release(admin: Blueprint, pages: _Pages) -> None:
    parts, money = pages.parts, pages.money

    @admin.post("/money/statements/<int:import_id>/release")
    def release_statement(import_id: int) -> Response:
        note = request.form.get("note", "").strip()[:200]
        answer = act(
            parts, "statement.released", str(import_id), note,
            lambda: money.reconciliation.release(import_id, note, by()),
        )  # fmt: skip
        if isinstance(answer, Refusal):
            return pages.show_list(answer)
        return make_response(redirect(url_for("admin.statements", done="released"), 303))


def _done() -> str:
    """What became of the import this page was reached from."""
    counts = {name: request.args.get(name, default=0, type=int) for name in ("new", "known", "bad", "skipped")}
    if request.args.get("done") == "taken":
        return say(
            N_("Taken in: {new} new lines, {known} known already, {skipped} without money, {bad} not readable."),
            **counts,
        )
    if request.args.get("done") == "again":
        return say(N_("This very file was taken in before: {new} lines were new then. Nothing was changed."), **counts)
    if request.args.get("done") == "released":
        return say(N_("Released: its new money is booked."))
    return ""


def _wallet(money: MoneyParts) -> str:
    name = request.values.get("wallet", "")
    return name if name in money.wallets else ""


def _upload() -> Upload | Refusal:
    """The file of this form: chosen just now, or kept in the page since it was."""
    file = request.files.get("file")
    if file is not None and file.filename:
        data = file.stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            return Refusal(say(N_("The file is larger than {n} MB."), n=MAX_BYTES // 1_000_000), 413)
        return Upload(file.filename[-100:], data, base64.b64encode(zlib.compress(data, 6)).decode())
    kept = request.form.get("kept", "")
    if not kept:
        return Refusal(say(N_("Choose a file.")), 400)
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(kept, validate=True), MAX_BYTES + 1)
    except (ValueError, zlib.error):
        return Refusal(say(N_("Choose the file once more.")), 400)
    if len(data) > MAX_BYTES:
        return Refusal(say(N_("The file is larger than {n} MB."), n=MAX_BYTES // 1_000_000), 413)
    return Upload(request.form.get("filename", "")[-100:] or "statement", data, kept)


def _columns() -> dict[str, str]:
    pairs = {field: request.form.get(f"col-{field}", "").strip()[:120] for field in FIELDS}
    return {field: header for field, header in pairs.items() if header}


def _options() -> dict[str, object]:
    """What the form says of marks, times and words. Empty means: find it out."""
    options: dict[str, object] = {}
    for name in _WORDS:
        value = request.form.get(f"opt-{name}", "")[:60]
        # A blank is a mark that separates thousands; a tab one that separates cells.
        value = value if name in ("thousands", "delimiter") else value.strip()
        if value:
            options[name] = {"space": " ", "tab": "\t"}.get(value, value)
    for name in _LISTS:
        words = [line.strip()[:60] for line in request.form.get(f"opt-{name}", "").splitlines() if line.strip()]
        if words:
            options[name] = words[:60]
    kinds = {}
    for line in request.form.get("opt-kinds", "").splitlines()[:100]:
        word, _, kind = line.rpartition("=")
        if word.strip():
            kinds[word.strip()[:60]] = kind.strip()[:20]
    if kinds:
        options["kinds"] = kinds
    at = request.form.get("opt-header_line", default=0, type=int)
    if at > 0:
        options["header_line"] = at
    return options


def _texts(options: Mapping[str, object]) -> dict[str, str]:
    """Options as the form shows them: lists and pairs one a line."""
    shown = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            shown[name] = "\n".join(f"{word} = {kind}" for word, kind in value.items())
        elif isinstance(value, list | tuple):
            shown[name] = "\n".join(str(word) for word in value)
        else:
            shown[name] = {" ": "space", "\t": "tab"}.get(str(value), str(value))
    return shown


def _headers(preview: Preview | None, columns: Mapping[str, str]) -> list[str]:
    """What a column can be chosen from: the file's headers, and what the mapping names besides."""
    there = [header for header in preview.headers if header] if preview else []
    return list(dict.fromkeys([*there, *columns.values()]))
