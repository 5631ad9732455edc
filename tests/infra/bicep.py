"""Parses Bicep and computes the resources of a deployment, as far as possible without the compiler.

`File` is the syntax tree of one file. `deployment` computes the resources of a template and of its modules from given
parameters: their types, scopes, names and bodies. Values that only a deployment knows, such as outputs of modules and
properties of resources, stand as `<symbol.property>`. The functions and operators are those that the templates use.
"""

import json
import re
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import tree_sitter
import tree_sitter_bicep

INFRA = Path(__file__).resolve().parent.parent.parent / "infra"
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))
DECLARATIONS = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "output_declaration": "output",
    "type_declaration": "type",
}


class Refused(Exception):
    """The template calls fail()."""


def text(node: tree_sitter.Node) -> str:
    return node.text.decode()


def nodes(node: tree_sitter.Node, kind: str | None = None):
    if kind in (None, node.type):
        yield node
    for child in node.named_children:
        yield from nodes(child, kind)


class File:
    """A Bicep file: its tree, and the nodes of what it declares, by kind and name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        source = path.read_text()
        if path.suffix == ".bicepparam":
            # The grammar covers only templates, in which a given parameter looks like a variable.
            source = re.sub(r"^param ", "var ", re.sub(r"^using .*$", "", source, flags=re.M), flags=re.M)
        self.root = PARSER.parse(source.encode()).root_node
        self.declared = {kind: {} for kind in DECLARATIONS.values()}
        for node in nodes(self.root):
            if node.type in DECLARATIONS:
                self.declared[DECLARATIONS[node.type]][text(node.named_children[0])] = node

    def top(self, kind: str) -> dict:
        """The declarations at the top of the file, not inside a resource."""
        return {name: node for name, node in self.declared[kind].items() if node.parent == self.root}

    def broken(self) -> list[tree_sitter.Node]:
        return [node for node in nodes(self.root) if node.is_error or node.is_missing]

    def path_of(self, string: str) -> Path:
        return (self.path.parent / string).resolve()


class Parser:
    """Bicep's expressions, each as a function of a scope.

    The grammar above is right about what is an expression and wrong about which operator binds first.
    """

    WORD = re.compile(r"[A-Za-z_]\w*|\d+")
    OPERATOR = re.compile(r"=>|\?\?|==|!=|&&|\|\||::|\.\?|\[\?|[?:!.,()\[\]{}=]")
    GAP = re.compile(r"(?:\s|//[^\n]*)*")

    def __init__(self, source: str) -> None:
        self.source, self.at = source, 0

    def peek(self) -> str:
        """The next word or operator; a quotation mark where a string begins."""
        at = self.GAP.match(self.source, self.at).end()
        if self.source[at : at + 1] == "'":
            return "'"
        found = self.WORD.match(self.source, at) or self.OPERATOR.match(self.source, at)
        return found[0] if found else ""

    def next(self, expected: str | None = None) -> str:
        token = self.peek()
        if not token or expected not in (None, token):
            raise SyntaxError(f"{expected or 'an expression'} is expected at {self.source[self.at:][:60]!r}")
        self.at = self.GAP.match(self.source, self.at).end() + len(token)
        return token

    def takes(self, token: str) -> bool:
        if self.peek() == token:
            self.next()
            return True
        return False

    def is_same_line(self) -> bool:
        return "\n" not in self.GAP.match(self.source, self.at)[0]

    def expression(self):
        condition = self.binary(0)
        if not self.takes("?"):
            return condition
        yes = self.expression()
        self.next(":")
        no = self.expression()
        return lambda scope: (yes if condition(scope) else no)(scope)

    LEVELS = (
        {"??": lambda left, right: lambda scope: coalesce(left(scope), right, scope)},
        {"||": lambda left, right: lambda scope: left(scope) or right(scope)},
        {"&&": lambda left, right: lambda scope: left(scope) and right(scope)},
        {
            "==": lambda left, right: lambda scope: left(scope) == right(scope),
            "!=": lambda left, right: lambda scope: left(scope) != right(scope),
        },
    )

    def binary(self, level: int):
        if level == len(self.LEVELS):
            return self.postfix()
        left = self.binary(level + 1)
        while self.peek() in self.LEVELS[level]:
            left = self.LEVELS[level][self.next()](left, self.binary(level + 1))
        return left

    def postfix(self):
        value = self.primary()
        while self.is_same_line() and self.peek() in (".", ".?", "[", "[?", "::", "!"):
            operator = self.next()
            if operator != "!":
                value = self.access(value, operator)
        return value

    def access(self, value, operator: str):
        if operator in ("[", "[?"):
            index = self.expression()
            self.next("]")
            return lambda scope: member_of(value(scope), index(scope), operator == "[?")
        name = self.next()
        if operator == "::":
            return lambda scope: value(scope).child(name)
        return lambda scope: member_of(value(scope), name, operator == ".?")

    def primary(self):
        token = self.next()
        if token == "'":
            return self.string()
        if token == "!":
            value = self.postfix()
            return lambda scope: not value(scope)
        if token == "(":
            value = self.expression()
            self.next(")")
            return value
        if token == "[":
            return self.loop() if self.peek() == "for" else self.array()
        if token == "{":
            members = self.until("}", self.member)
            return lambda scope: body_of(members, scope)
        if token.isdigit():
            return lambda scope: int(token)
        if token in ("true", "false", "null"):
            return lambda scope: {"true": True, "false": False, "null": None}[token]
        if token == "if":
            self.next("(")
            condition = self.expression()
            self.next(")")
            value = self.expression()
            return lambda scope: value(scope) if condition(scope) else None
        if self.takes("=>"):
            body = self.expression()
            return lambda scope: lambda value: body(scope.with_values({token: value}))
        if self.is_same_line() and self.takes("("):
            arguments = self.until(")", self.expression)
            return lambda scope: scope.call(token, [argument(scope) for argument in arguments])
        return lambda scope: scope.value(token)

    def array(self):
        items = self.until("]", self.expression)
        return lambda scope: [item(scope) for item in items]

    def loop(self):
        """`for one in many: value` or `for (one, index) in many: value`, up to the closing bracket."""
        self.next("for")
        if self.takes("("):
            names = [self.next()]
            self.next(",")
            names.append(self.next())
            self.next(")")
        else:
            names = [self.next()]
        self.next("in")
        many = self.expression()
        self.next(":")
        value = self.expression()
        self.next("]")
        return lambda scope: [
            value(scope.with_values(dict(zip(names, (one, index), strict=False)))) for index, one in enumerate(many(scope))
        ]

    def until(self, end: str, one) -> list:
        found = []
        while not self.takes(end):
            found.append(one())
            self.takes(",")
        return found

    def member(self):
        """A property, or a resource that is declared inside of its parent."""
        key = self.next()
        if key == "resource":
            name = self.next()
            self.next("'")
            kind = self.string()
            self.next("=")
            return "resource", name, kind, self.expression()
        name = self.string() if key == "'" else lambda scope: key
        self.next(":")
        return "property", name, self.expression()

    def string(self):
        """The text after the opening quotation mark."""
        parts, start = [], self.at
        while True:
            if self.source.startswith("\\'", self.at):
                self.at += 2
            elif self.source.startswith(("'", "${"), self.at):
                literal = self.source[start : self.at].replace("\\'", "'")
                parts.append(lambda scope, literal=literal: literal)
                self.at += 1
                if self.source[self.at - 1] == "'":
                    return lambda scope: "".join(spell(part(scope)) for part in parts)
                self.at += 1
                parts.append(self.expression())
                self.next("}")
                start = self.at
            else:
                self.at += 1


def spell(value: object) -> str:
    return value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def coalesce(given: object, other, scope: "Scope") -> object:
    return other(scope) if given is None else given


def member_of(value: object, key: object, may_be_absent: bool) -> object:
    if isinstance(value, Symbol):
        return value.member(key)
    if may_be_absent and (value is None or isinstance(value, dict)):
        return (value or {}).get(key)
    return value[key]


def body_of(members: list, scope: "Scope") -> dict:
    body = {}
    for kind, name, *rest in members:
        if kind == "property":
            body[name(scope)] = rest[0](scope)
        else:
            body.setdefault("nested resources", {})[name] = (rest[0](scope), rest[1](scope))
    return body


@dataclass
class Symbol:
    """A value that only the deployment knows: a resource, a module, or a property of one."""

    path: str
    id: str | None = None
    name: str | None = None
    children: dict = field(default_factory=dict)
    items: list | None = None

    def member(self, key: object) -> object:
        if isinstance(key, int) and self.items is not None:
            return self.items[key]
        if key in ("id", "name") and getattr(self, key):
            return getattr(self, key)
        return Symbol(f"{self.path}.{key}")

    def child(self, name: str) -> "Symbol":
        return self.children[name]

    def __str__(self) -> str:
        return f"<{self.path}>"


@dataclass
class Place:
    """Where a file is deployed to."""

    subscription: str
    resource_group: str | None = None

    @property
    def id(self) -> str:
        within = f"/resourceGroups/{self.resource_group}" if self.resource_group else ""
        return f"/subscriptions/{self.subscription}{within}"


def union(*values):
    if isinstance(values[0], dict):
        return {key: value for one in values for key, value in one.items()}
    merged = []
    for value in (value for one in values for value in one):
        if value not in merged:
            merged.append(value)
    return merged


def refuse(message: str):
    raise Refused(message)


def hashed(values: tuple, spelled) -> str:
    """A placeholder for a hash; unknown if its input is known only to the deployment."""
    together = "/".join(map(str, values))
    found = spelled(uuid.uuid5(uuid.NAMESPACE_URL, together))
    return f"<{found}>" if "<" in together else found


FUNCTIONS = {
    "concat": lambda *lists: [value for one in lists for value in one],
    "contains": lambda container, value: value in container,
    "empty": lambda value: not value,
    "endsWith": lambda value, end: value.lower().endswith(end.lower()),
    "environment": lambda: {"name": "AzureCloud"},
    "fail": refuse,
    "filter": lambda values, keep: [value for value in values if keep(value)],
    "flatten": lambda lists: [value for one in lists for value in one],
    "guid": lambda *values: hashed(values, str),
    "items": lambda value: [{"key": key, "value": value[key]} for key in sorted(value)],
    "join": lambda values, between: between.join(values),
    "last": lambda values: values[-1],
    "map": lambda values, change: [change(value) for value in values],
    "replace": lambda value, old, new: value.replace(old, new),
    "split": lambda value, at: str(value).split(at),
    "startsWith": lambda value, start: value.lower().startswith(start.lower()),
    "string": lambda value: value if isinstance(value, str) else json.dumps(value, separators=(",", ":")),
    "toLower": lambda value: str(value).lower(),
    "toObject": lambda values, key, value=lambda value: value: {key(one): value(one) for one in values},
    "union": union,
    "uniqueString": lambda *values: hashed(values, lambda value: value.hex[:13]),
}


class Scope:
    """The values of parameters, variables and symbols. One that is not known yet is computed from its declaration."""

    def __init__(self, file: File, place: Place, known: dict, own: dict | None = None) -> None:
        self.file, self.place, self.known, self.own = file, place, known, own or {}

    def with_values(self, values: dict) -> "Scope":
        return Scope(self.file, self.place, self.known, {**self.own, **values})

    def value(self, name: str):
        if name in self.own:
            return self.own[name]
        if name not in self.known:
            declared = self.file.declared
            self.known[name] = self.compute((declared["var"].get(name) or declared["param"][name]))
        return self.known[name]

    def compute(self, declaration: tree_sitter.Node):
        return value_of(declaration)(Scope(self.file, self.place, self.known))

    def call(self, name: str, arguments: list):
        place = self.place
        if name == "resourceGroup":
            if arguments:
                return Place(*arguments) if len(arguments) == 2 else Place(place.subscription, *arguments)
            return {"id": place.id, "name": place.resource_group, "location": "westeurope"}
        if name == "subscription":
            if arguments:
                return Place(arguments[0])
            return Both(place.subscription)
        if name == "resourceId":
            *where, kind, resource = arguments
            within = Place(*where) if where else place
            return f"{within.id}/providers/{kind}/{resource}"
        if name == "subscriptionResourceId":
            return f"/subscriptions/{place.subscription}/providers/{arguments[0]}/{arguments[1]}"
        if name in ("loadTextContent", "loadJsonContent"):
            content = self.file.path_of(arguments[0]).read_text()
            return json.loads(content) if name == "loadJsonContent" else content
        return FUNCTIONS[name](*arguments)


class Both(dict):
    """subscription(): an object, and a scope of modules."""

    def __init__(self, subscription: str) -> None:
        super().__init__(id=f"/subscriptions/{subscription}", subscriptionId=subscription)
        self.subscription, self.resource_group = subscription, None


def value_of(declaration: tree_sitter.Node):
    """The value of a declaration, as a function of a scope."""
    source = text(declaration)
    header = re.search(r"^(?:param|var|resource|module|output)\b[^=\n]*=", source, flags=re.M)
    return Parser(source[header.end() :]).expression()


@dataclass
class Resource:
    """A resource that a deployment would create."""

    kind: str
    version: str
    name: str
    id: str
    body: dict
    file: str

    @property
    def properties(self) -> dict:
        return self.body["properties"]


class Deployment:
    """The resources of a template and of its modules; the modules with their places, by their names."""

    def __init__(self, path: Path, parameters: dict, place: Place) -> None:
        self.resources: list[Resource] = []
        self.modules: list[tuple[str, Place, str]] = []
        self.deploy(path, parameters, place)

    def deploy(self, path: Path, parameters: dict, place: Place) -> None:
        file = File(path)
        scope = Scope(file, place, dict(parameters))
        for name, node in self.in_order(file):
            string = text(next(child for child in node.named_children if child.type == "string")).strip("'")
            value = value_of(node)(scope)
            instances = value if isinstance(value, list) else [value]
            if node.type == "module_declaration":
                scope.known[name] = self.module(name, file.path_of(string), instances, value, scope.place)
            else:
                is_existing = " existing " in text(node).partition("=")[0]
                symbols = [self.resource(name, string, body, place, scope, file, is_existing) for body in instances]
                scope.known[name] = symbols[0] if not isinstance(value, list) else Symbol(name, items=symbols)

    def in_order(self, file: File) -> list:
        """Resources and modules of a file, each after those that it names."""
        waiting = {**file.top("resource"), **file.top("module")}
        ordered = []
        while waiting:
            ready = [
                name
                for name, node in waiting.items()
                if not any(re.search(rf"\b{other}\b", text(node).partition("=")[2]) for other in waiting if other != name)
            ]
            # The name is also a property or a word of a comment, so use the order of the file.
            for name in ready or [next(iter(waiting))]:
                ordered.append((name, waiting.pop(name)))
        return ordered

    def module(self, name: str, path: Path, instances: list, value: object, place: Place) -> Symbol:
        for body in instances:
            if body is not None:
                scope = body.get("scope")
                where = Place(scope.subscription, scope.resource_group) if scope else place
                self.modules.append((body["name"], where, path.name))
                self.deploy(path, body.get("params", {}), where)
        if isinstance(value, list):
            return Symbol(name, items=[Symbol(f"{name}[{index}]") for index in range(len(instances))])
        return Symbol(name)

    def resource(
        self, name: str, string: str, body: dict | None, place: Place, scope: Scope, file: File, is_existing: bool
    ) -> Symbol:
        if body is None:
            return Symbol(name)
        kind, _, version = string.partition("@")
        resource_id = self.id_of(kind, body, place, scope)
        symbol = Symbol(name, resource_id, body["name"])
        nested = body.pop("nested resources", {})
        if not is_existing:
            self.resources.append(Resource(kind, version, body["name"], resource_id, body, file.path.name))
        self.nest(symbol, kind, version, nested, file)
        return symbol

    def nest(self, parent: Symbol, kind: str, version: str, nested: dict, file: File) -> None:
        for name, (part, body) in nested.items():
            inner = body.pop("nested resources", {})
            full = f"{kind}/{part}"
            child = Symbol(f"{parent.path}::{name}", f"{parent.id}/{part}/{body['name']}", body["name"])
            parent.children[name] = child
            self.resources.append(Resource(full, version, body["name"], child.id, body, file.path.name))
            self.nest(child, full, version, inner, file)

    @staticmethod
    def id_of(kind: str, body: dict, place: Place, scope: Scope) -> str:
        if "parent" in body:
            return f"{body['parent'].id}/{kind.rpartition('/')[2]}/{body['name']}"
        within = body.get("scope")
        within_id = within.id if isinstance(within, Symbol | Place) else place.id
        namespace, *types = kind.split("/")
        names = str(body["name"]).split("/")
        if len(types) != len(names):
            raise ValueError(f"{kind} has the name {body['name']}")
        path = "/".join(f"{one}/{name}" for one, name in zip(types, names, strict=True))
        return f"{within_id}/providers/{namespace}/{path}"


def parameters_of(example: str) -> dict:
    """The parameters that an example gives."""
    file = File(INFRA / "parameters" / example)
    given = re.findall(r"^param (\w+) =", file.path.read_text(), flags=re.M)
    scope = Scope(file, Place("none"), {})
    return {name: scope.value(name) for name in given}
