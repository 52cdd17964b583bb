"""One field for anything: straight to the customer when one is found."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, redirect, request, url_for

from admin.parts import Parts, page


def add_pages(admin: Blueprint, parts: Parts) -> None:
    @admin.get("/search")
    def search() -> Response:
        words_ = " ".join(request.args.get("q", "").split())[:80]
        hits = parts.desk.search(words_) if words_ else ()
        if len(hits) == 1 and hits[0].customer_id is not None:
            return make_response(redirect(url_for("admin.customer", customer_id=hits[0].customer_id), 303))
        return make_response(page("search.html", parts, q=words_, hits=hits))
