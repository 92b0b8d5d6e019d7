"""The OpenAPI document and Swagger UI, whose files are served from here: nothing from a CDN."""

from pathlib import Path
from typing import Final

from flask import Blueprint, Response, current_app, send_from_directory

from edge_workers.answers import answer
from edge_workers.errors import NotFoundError
from edge_workers.openapi import document
from edge_workers.parts import parts
from edge_workers.security import DOCS_CONTENT_POLICY

blueprint = Blueprint("docs", __name__)

_ASSETS: Final = frozenset({"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"})
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Mallgram API</title>
<link rel="icon" href="/docs/favicon-32x32.png">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START: Final = """window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """The document."""
    return answer(document(current_app, server_url=parts().settings.public_url))


@blueprint.get("/docs")
def page() -> Response:
    """Swagger UI."""
    return _with_policy(Response(_PAGE, content_type="text/html; charset=utf-8"))


@blueprint.get("/docs/<name>")
def asset(name: str) -> Response:
    """One of Swagger UI's own files."""
    if name == "start.js":
        return _with_policy(Response(_START, content_type="text/javascript; charset=utf-8"))
    folder = Path(parts().settings.swagger_ui_dir).resolve()
    if name not in _ASSETS or not (folder / name).is_file():
        raise NotFoundError
    response = send_from_directory(folder, name, max_age=86_400)
    response.headers["Cache-Control"] = "public, max-age=86400"
    return _with_policy(response)


def _with_policy(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = DOCS_CONTENT_POLICY
    return response
