"""Make, change and remove: forms that REST judges. What cannot be undone asks once, with numbers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ipamd.models.pool import DEFAULT_CLUSTER
from ipamd.web import removals
from ipamd.web.asking import asked, fields, form, rest, visitor
from ipamd.web.bulk import BULK, chosen
from ipamd.web.forms import (
    FORMS,
    HOLD,
    NEW_NODE,
    NODE,
    POOL,
    QUOTA,
    Form,
    Texts,
    body_of,
    by_field,
    patch_of,
    plain,
    texts_of,
)
from ipamd.web.rendering import HEADERS, link, render
from ipamd.web.rest import Refused, Rest

View = Callable[[Request], Awaitable[Response]]

WAS: Final = "was:"
"""Before the names of hidden fields: what the field said when the form was shown."""

MOST_SELECTED: Final = 200


def _to(where: str) -> Response:
    return RedirectResponse(where, HTTPStatus.SEE_OTHER, HEADERS)


async def new(request: Request) -> Response:
    """Make something: an empty form, and what is sent with it."""
    noun = request.path_params["noun"]
    shape = FORMS.get(noun)
    if shape is None:
        raise Refused(404, {"detail": f"Nothing that is called {noun} can be made here."})
    if request.method != "POST":
        given = asked(request, *(field.name for field in shape.fields))
        return _show(request, shape, given, key=uuid4().hex)
    given = await form(request)
    key = given.get("key", "")
    headers = {"Idempotency-Key": key} if noun == "allocation" and key else None
    try:
        made = await rest(request).ask("POST", shape.path, body_of(shape, given), headers=headers)
    except Refused as refused:
        return _show(request, shape, given, refused, key=key)
    return _made(request, shape, made.document)


async def new_node(request: Request) -> Response:
    """Make a node that is not known yet, with its labels."""
    given = await form(request) if request.method == "POST" else {}
    if request.method != "POST":
        return _show(request, NEW_NODE, given)
    try:
        view = await _make_node(rest(request), given)
    except Refused as refused:
        return _show(request, NEW_NODE, given, refused)
    return _to(view)


async def _make_node(api: Rest, given: Texts) -> str:
    """Make it; its view. Raises Refused, also if it is known: this would set its labels anew."""
    cluster, name = given.get("cluster", DEFAULT_CLUSTER), given.get("name", "")
    if name == "":
        raise Refused(422, {"errors": [{"field": "name", "why": "is missing"}]})
    path, view = _of_node(cluster, name)
    if await _is_known(api, path):
        why = "is a node already: change its labels there"
        raise Refused(409, {"errors": [{"field": "name", "why": why}]})
    await api.ask("PUT", path, {"labels": body_of(NODE, given).get("labels", {})})
    return view


async def _is_known(api: Rest, path: str) -> bool:
    try:
        await api.get(path)
    except Refused as refused:
        if refused.status == HTTPStatus.NOT_FOUND:
            return False
        raise
    return True


def _made(request: Request, shape: Form, document: Mapping[str, Any]) -> Response:
    match shape.noun:
        case "token":
            return render(request, "token_made.html", made=document)
        case "pool":
            return _to(f"/ui/pools/{document['name']}")
        case "allocation":
            return _to(f"/ui/addresses/{document['address']}?space={quote(document['space'])}")
    return _to(shape.view)


async def edit_pool(request: Request) -> Response:
    """Change a pool."""
    name = quote(request.path_params["name"], safe="")
    return await _edit(request, POOL, f"/v1/pools/{name}", f"/ui/pools/{name}", "PATCH")


async def edit_quota(request: Request) -> Response:
    """Change a quota."""
    name = quote(request.path_params["name"], safe="")
    return await _edit(request, QUOTA, f"/v1/quotas/{name}", "/ui/quotas", "PATCH")


async def edit_hold(request: Request) -> Response:
    """Change for whom a hold is, and for how long."""
    name = quote(request.path_params["name"], safe="")
    return await _edit(request, HOLD, f"/v1/holds/{name}", "/ui/holds", "PATCH")


async def edit_node(request: Request) -> Response:
    """Set the labels of a node."""
    path, view = _of_node(request.path_params["cluster"], request.path_params["name"])
    return await _edit(request, NODE, path, view, "PUT")


async def state_node(request: Request) -> Response:
    """Have the containers of a node get nothing new, or get addresses again: each undoes the other."""
    path, view = _of_node(request.path_params["cluster"], request.path_params["name"])
    verb = request.path_params["verb"]
    if verb not in ("drain", "undrain"):
        raise Refused(404, {"detail": f"There is no such action: {verb}."})
    await rest(request).ask("POST", f"{path}/{verb}")
    return _to(view)


def _of_node(cluster: str, name: str) -> tuple[str, str]:
    """Where a node is by REST, and its view."""
    path = f"/v1/nodes/{quote(cluster, safe='')}/{quote(name, safe='')}"
    return path, link("nodes", cluster, name)


async def _edit(request: Request, shape: Form, path: str, view: str, method: str) -> Response:
    api = rest(request)
    if request.method != "POST":
        current = await api.ask("GET", path)
        texts = texts_of(shape, current.document)
        return _show(request, shape, texts, was=texts, tag=current.tag, view=view)
    sent = dict(await fields(request))
    was = {name.removeprefix(WAS): text for name, text in sent.items() if name.startswith(WAS)}
    body = (
        patch_of(shape, sent, was)
        if method == "PATCH"
        else {"labels": body_of(shape, sent).get("labels", {})}
    )
    tag = sent.get("tag", "")
    try:
        if body:
            await api.ask(method, path, body, headers={"If-Match": tag} if tag else None)
    except Refused as refused:
        if refused.status != HTTPStatus.PRECONDITION_FAILED:
            return _show(request, shape, sent, refused, was=was, tag=tag, view=view)
        current = await api.ask("GET", path)
        return _side_by_side(request, shape, sent, was, texts_of(shape, current.document), current.tag, view)
    return _to(view)


def _side_by_side(
    request: Request, shape: Form, sent: Texts, was: Texts, now: Texts, tag: str | None, view: str
) -> Response:
    """The form again: what somebody else changed, beside what was to be changed here.

    A field that was not touched here follows the other change.
    """
    touched = patch_of(shape, sent, was)
    mine = {name: sent.get(name, "") if name.split(".")[0] in touched else text for name, text in now.items()}
    labels = {field.name: field.label for field in shape.fields}
    conflicts = [
        (labels[name], was.get(name, ""), text, mine[name])
        for name, text in now.items()
        if plain(text) != plain(was.get(name, ""))
    ]
    refused = Refused(
        412, {"detail": "Somebody changed it while you had this form open. None of your changes is saved."}
    )
    return _show(request, shape, mine, refused, was=now, tag=tag, view=view, conflicts=conflicts)


def _show(
    request: Request,
    shape: Form,
    texts: Texts,
    refused: Refused | None = None,
    *,
    was: Texts | None = None,
    tag: str | None = None,
    key: str = "",
    view: str = "",
    conflicts: list[tuple[str, str, str, str]] | None = None,
) -> Response:
    beside, others = by_field(shape, refused.fields) if refused is not None else ({}, [])
    if refused is not None and not beside and not others:
        others = [refused.detail]
    return render(
        request,
        "form.html",
        refused.status if refused is not None else HTTPStatus.OK,
        form=shape,
        texts=texts,
        beside=beside,
        others=others,
        was=was,
        tag=tag,
        key=key,
        called=request.path_params.get("name"),
        view=view or shape.view,
        conflicts=conflicts or [],
    )


async def remove(request: Request) -> Response:
    """Ask once whether something shall be done that cannot be undone, then do it."""
    api = rest(request)
    removal = await removals.removal_of(api, request.path_params)
    refused = None
    if request.method == "POST":
        given = await form(request)
        try:
            await removal.carry_out(api, given)
        except Refused as error:
            refused = error
        else:
            return _to(removal.then)
    return render(
        request,
        "confirm.html",
        refused.status if refused is not None else HTTPStatus.OK,
        removal=removal,
        refused=refused,
    )


async def bulk(request: Request) -> Response:
    """Do the same to many things: asked once with their number, answered with what became of each."""
    sent = await fields(request)
    what = request.path_params["what"]
    ticked = list(dict.fromkeys(value for name, value in sent if name == "id"))[:MOST_SELECTED]
    action = BULK.get(what)
    if action is None:
        raise Refused(404, {"detail": f"There is no such action: {what}."})
    if not ticked:
        raise Refused(422, {"detail": "Nothing was chosen: tick what is meant, then send the form again."})
    if ("confirmed", "yes") not in sent:
        named = [(text, chosen(text).called) for text in ticked]
        return render(request, "bulk.html", action=action, chosen=named, results=None)
    api = rest(request)
    results = [(each.called, await action.carry_out(api, each.key)) for each in map(chosen, ticked)]
    return render(request, "bulk.html", action=action, results=results)


def _for_admins(show: View) -> View:
    """A form that only admins may send is shown to nobody else. What is sent is judged by REST."""

    async def shown(request: Request) -> Response:
        if request.method != "POST" and not visitor(request).may_change:
            why = (
                f"{visitor(request).name} may only read: ask for an address under Requests, or ask an admin."
            )
            raise Refused(HTTPStatus.FORBIDDEN, {"detail": why})
        return await show(request)

    return shown


ROUTES: Final = [
    Route("/ui/new/node", _for_admins(new_node), methods=["GET", "POST"]),
    Route("/ui/new/{noun}", _for_admins(new), methods=["GET", "POST"]),
    Route("/ui/edit/pool/{name}", _for_admins(edit_pool), methods=["GET", "POST"]),
    Route("/ui/edit/quota/{name}", _for_admins(edit_quota), methods=["GET", "POST"]),
    Route("/ui/edit/hold/{name}", _for_admins(edit_hold), methods=["GET", "POST"]),
    Route("/ui/edit/node/{cluster:name}/{name:name}", _for_admins(edit_node), methods=["GET", "POST"]),
    Route(
        "/ui/release/owner/{cluster:name}/{namespace:name}/{name:name}",
        _for_admins(remove),
        methods=["GET", "POST"],
    ),
    Route("/ui/nodes/{cluster:name}/{name:name}/{verb}", state_node, methods=["POST"]),
    Route("/ui/{verb}/node/{cluster:name}/{name:name}", _for_admins(remove), methods=["GET", "POST"]),
    Route("/ui/delete/{noun}/{name}", _for_admins(remove), methods=["GET", "POST"]),
    Route("/ui/bulk/{what}", bulk, methods=["POST"]),
]
