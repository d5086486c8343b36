"""OpenAPI as generators want it: 3.1, problem details declared as what they are, and 3.0 for old generators."""

import copy
import json
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from starlette.responses import JSONResponse

_UNDECLARED_BY_US = ("HTTPValidationError", "ValidationError")
_OF_BODIES = {
    "408": "The body stalled 请求体发送超时",
    "413": "Too large 请求过大",
    "415": "Another media type or encoding 不支持的内容类型",
}
"""What every operation that takes a body may answer (``shared.http.limits``)."""
EXTENSIBLE = (
    "Enumerations may grow: take a value that you do not know as unknown. 枚举取值可能增加,遇到未知取值请按未知处理。"
)
"""Said once of every document, not of each of its enumerations."""
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}


def json_lines(said: str, example: Mapping[str, object]) -> dict[str, Any]:
    """A body of JSON lines, with one of them, for ``openapi_extra``: reading it by the line leaves nothing to find."""
    line = json.dumps(example, ensure_ascii=False)
    content = {"schema": {"type": "string", "description": said}, "example": line}
    return {"requestBody": {"required": True, "content": {"application/jsonl": content}}}


def install_openapi(app: FastAPI, issuer: str | None) -> None:
    """Replace the document maker; adds ``/openapi-3.0.json``. ``issuer`` gives tokens that open what keys open."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _tidied(generate())
            if issuer is not None:
                _open_to_tokens(app.openapi_schema, issuer)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

    @app.get("/openapi-3.0.json", include_in_schema=False)
    async def openapi_3_0() -> JSONResponse:
        return JSONResponse(down_converted(app.openapi()))


def _tidied(document: dict[str, Any]) -> dict[str, Any]:
    for path in document["paths"].values():
        for operation in path.values():
            for status, description in _OF_BODIES.items() if "requestBody" in operation else ():
                operation["responses"].setdefault(status, {"description": description, "content": {**_PROBLEM}})
            for status, response in operation["responses"].items():
                content = response.get("content", {})
                if status[0] in "45" and "application/problem+json" in content:
                    content.pop("application/json", None)
            _tell_of_dry_runs(operation)
    schemas = document.get("components", {}).get("schemas", {})
    for name in _UNDECLARED_BY_US:
        schemas.pop(name, None)
    return document


def _tell_of_dry_runs(operation: dict[str, Any]) -> None:
    """What comes instead of 201 or 202 where nothing is made."""
    responses = operation["responses"]
    made = responses.get("201") or responses.get("202")
    if made is not None and any(each["name"] == "dry_run" for each in operation.get("parameters", [])):
        responses.setdefault("200", {**made, "description": "A dry run 仅校验"})


def _open_to_tokens(document: dict[str, Any], issuer: str) -> None:
    document["components"]["securitySchemes"]["oidc"] = {
        "type": "openIdConnect",
        "openIdConnectUrl": f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        "description": "Access token 访问令牌 of the OpenID Connect issuer, instead of an API key.",
    }
    for path in document["paths"].values():
        for operation in path.values():
            if operation.get("security"):
                operation["security"].append({"oidc": []})


def down_converted(document: dict[str, Any]) -> dict[str, Any]:
    """The document in OpenAPI 3.0.3: null types become ``nullable``, ``const`` an enum, ``examples`` an example."""
    converted: dict[str, Any] = _down(copy.deepcopy(document))
    converted["openapi"] = "3.0.3"
    converted["info"].get("license", {}).pop("identifier", None)
    return converted


def _down(node: Any) -> Any:
    if isinstance(node, list):
        return [_down(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: _down(item) for name, item in node.items()}
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if isinstance(node.get("examples"), list):
        first, *_ = node.pop("examples") or [None]
        node.setdefault("example", first)
    for bound, flag in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if bound in node and not isinstance(node[bound], bool):
            node[flag], node[bound] = node[bound], True
    options = node.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        kept = [option for option in options if option != {"type": "null"}]
        node.pop("anyOf")
        node |= {"nullable": True} | ({"allOf": kept} if len(kept) == 1 else {"anyOf": kept})
    for unknown in ("propertyNames", "prefixItems", "contentMediaType", "unevaluatedProperties"):
        node.pop(unknown, None)
    return node
