"""Checks that the Terraform module agrees with the Bicep templates, as far as the text shows it.

    python tests/infra/check_terraform.py

Other tests compare Bicep with the code, so agreement here covers Terraform as well.
"""

import pathlib
import re
import unittest

INFRA = pathlib.Path(__file__).resolve().parents[2] / "infra"

# What Bicep has from its deployment or its script.
ONLY_TERRAFORM = {"resource_group_name", "cloud", "package", "images_package", "probe_queue", "functions_published"}
# Terraform sees in its state what a zone has.
ONLY_BICEP = {"zone_tags"}
# An id in Bicep, empty or not; here an object, null or not.
OBJECTS = {
    "user_assigned_identity_id",
    "integration_subnet_id",
    "private_endpoint_subnet_id",
    "existing_workspace_id",
    "existing_application_insights_id",
}
SETTING = re.compile(
    r"^\s*'?((?:ACI_DNS|APPLICATIONINSIGHTS|AZURE|RUST)_\w+|Azure(?:WebJobs|FunctionsJobHost)[\w.]+)'?\s*:", re.M
)
SETTING_IN_TERRAFORM = re.compile(
    r'^\s*"?((?:ACI_DNS|APPLICATIONINSIGHTS|AZURE)_\w+|Azure(?:WebJobs|FunctionsJobHost)[\w.]+)"?\s*=(?!=)', re.M
)


def bicep(*files):
    paths = [INFRA / file for file in files] or sorted(INFRA.rglob("*.bicep"))
    return "\n".join(path.read_text() for path in paths)


def terraform(*files):
    paths = [INFRA / "terraform" / file for file in files] or sorted((INFRA / "terraform").glob("*.tf"))
    return "\n".join(path.read_text() for path in paths)


def snake(name):
    return re.sub(r"(?<!^)(MB|[A-Z])", lambda letter: "_" + letter[1].lower(), name)


def variable_of(name):
    """The variable of a parameter of Bicep."""
    name = snake(name)
    return name.removesuffix("_id") if name in OBJECTS else name


def block(text, start, end):
    """What stands between a line that starts so and the next one that is so."""
    found = re.search(rf"^{start}.*?^{end}$", text, re.M | re.S)
    assert found, start
    return found[0]


def fields_of_bicep_type(name):
    return {snake(field) for field in re.findall(r"^  (\w+): ", block(bicep("types.bicep"), f"type {name} = ", "}"), re.M)}


def fields_of_variable(name):
    declared = block(terraform("variables.tf"), f'variable "{name}" ', "}")
    return set(re.findall(r"^    (\w+)\s+= ", block(declared, r"  type\s+= list", r"  }\)\)"), re.M))


class Terraform(unittest.TestCase):
    def test_the_parameters_have_the_names_of_bicep(self):
        parameters = {variable_of(name) for name in re.findall(r"^param (\w+) ", bicep("main.bicep"), re.M)}
        variables = set(re.findall(r'^variable "(\w+)"', terraform("variables.tf"), re.M))
        self.assertEqual(variables - ONLY_TERRAFORM, parameters - ONLY_BICEP)

    def test_what_may_be_made_by_the_same_configuration_is_an_object(self):
        # A count that asks whether an id is empty cannot be planned while the id is unknown.
        text = terraform()
        for name in OBJECTS:
            declared = block(text, f'variable "{variable_of(name)}" ', "}")
            self.assertIn("object({ id = string })", declared)
            self.assertIn("default     = null", declared)
        counts = re.findall(r"^  count\s+= (.*)$", text, re.M)
        self.assertGreater(len(counts), 4)
        for count in counts:
            self.assertNotRegex(count, r'_id == ""|_ids\b')

    def test_the_parameters_have_the_defaults_of_bicep(self):
        literal = re.compile(r"^param (\w+) \w+ = (true|false|\d+|'[^']*')$", re.M)
        expected = {
            variable_of(name): "null" if snake(name) in OBJECTS else value.replace("'", '"')
            for name, value in literal.findall(bicep("main.bicep"))
        }
        self.assertGreater(len(expected), 10)
        text = terraform("variables.tf")
        actual = {
            name: re.search(r"^  default\s+= (.*)$", block(text, f'variable "{name}" ', "}"), re.M)[1]
            for name in expected
        }
        self.assertEqual(actual, expected)

    def test_the_parameters_have_the_bounds_of_bicep(self):
        declared = re.compile(r"^@minValue\((\d+)\)\n@maxValue\((\d+)\)\nparam (\w+) int", re.M)
        bounds = {variable_of(name): (low, high) for low, high, name in declared.findall(bicep("main.bicep"))}
        self.assertGreater(len(bounds), 5)
        for name, (low, high) in bounds.items():
            condition = f"var.{name} >= {low} && var.{name} <= {high}"
            self.assertIn(condition, terraform("variables.tf"), name)
        # The modules allow what main.bicep allows.
        everywhere = {(name, low, high) for low, high, name in declared.findall(bicep())}
        self.assertEqual({(variable_of(name), low, high) for name, low, high in everywhere}, {(name, *bounds[name]) for name in bounds})

    def test_the_settings_have_the_bounds_and_words_of_bicep(self):
        given = block(bicep("types.bicep"), "type settingsOfApp = ", "}")
        settings = block(terraform("variables.tf"), 'variable "settings" ', "}")
        bounds = re.findall(r"@minValue\((\d+)\)\n  @maxValue\((\d+)\)\n  (\w+): int", given)
        found = re.findall(r"^      (\w+)\s+= \[(\d+), (\d+)\]", settings, re.M)
        self.assertEqual(sorted(found), sorted((name, low, high) for low, high, name in bounds))
        words = {name: re.findall(r"[\w-]+", options) for name, options in re.findall(r"^  (\w+): \((.*)\)\?$", given, re.M)}
        found = re.findall(r'^      (\w+)\s+= \[("[^\]]*)\]', settings, re.M)
        self.assertEqual({name: re.findall(r"[\w-]+", options) for name, options in found}, words)

    def test_the_parameters_allow_the_words_of_bicep(self):
        words = re.compile(r"^@allowed\(\[([^\]]*)\]\)\nparam (\w+) ", re.M)
        allowed = {variable_of(name): re.findall(r"[\w]+", list_) for list_, name in words.findall(bicep("main.bicep"))}
        self.assertGreater(len(allowed), 4)
        for name, expected in allowed.items():
            text = block(terraform("variables.tf"), f'variable "{name}" ', "}")
            (found,) = re.findall(r"contains\(\[([^\]]*)\]", text)
            self.assertEqual(re.findall(r"\w+", found), expected, name)

    def test_a_spoke_and_a_topic_have_the_fields_of_bicep(self):
        self.assertEqual(fields_of_variable("spokes"), fields_of_bicep_type("spoke"))
        self.assertEqual(fields_of_variable("topics"), fields_of_bicep_type("topic"))
        declared = block(terraform("variables.tf"), 'variable "image_updates" ', "}")
        fields = set(re.findall(r"^ {4,6}(\w+)\s+= ", block(declared, r"  type\s+= object", r"  }\)"), re.M))
        types = ("imageUpdatesOfDeployment", "imagePlace", "registryWithEvents")
        self.assertEqual(fields, set().union(*(fields_of_bicep_type(name) for name in types)))

    def test_the_settings_that_may_be_given_are_those_of_bicep(self):
        settings = block(terraform("variables.tf"), 'variable "settings" ', "}")
        listed = set(re.findall(r'^      "(\w+)",$', settings, re.M))
        given = block(bicep("types.bicep"), "type settingsOfApp = ", "}")
        self.assertEqual(listed, set(re.findall(r"^  (\w+): ", given, re.M)))

    def test_the_app_gets_the_settings_of_bicep(self):
        expected = set(SETTING.findall(bicep("main.bicep", "modules/function-app.bicep", "modules/images-app.bicep")))
        self.assertEqual(set(SETTING_IN_TERRAFORM.findall(terraform("app.tf", "images.tf"))), expected)

    def test_the_types_of_azapi_are_those_of_bicep_in_its_versions(self):
        used = set(re.findall(r'type\s+= "(Microsoft\.[\w./]+@[\d-]+)"', terraform()))
        self.assertGreater(len(used), 5)
        templates = bicep()
        # Bicep names a child by its last part; the parent gives the rest and the version.
        children = {
            "Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01",
            "Microsoft.Storage/storageAccounts/queueServices/queues@2023-05-01",
        }
        missing = {name for name in used - children if f"'{name}'" not in templates}
        self.assertEqual(missing, set())

    def test_roles_are_the_same(self):
        guid = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
        used = set(guid.findall(bicep("main.bicep", *(f"modules/{file.name}" for file in INFRA.glob("modules/*")))))
        self.assertEqual(set(guid.findall(terraform("access.tf"))), used)

    def test_what_is_shared_is_read_and_not_repeated(self):
        text = terraform()
        for file in ["role.json", "events.json", "image-events.json", "drift-columns.json", "workbook.json"]:
            self.assertIn(f'"${{path.module}}/../{file}"', text)
        self.assertNotRegex(text, r"Microsoft\.(Resources\.Resource(Write|Delete|Action)|Network/privateDnsZones/A/)")

    def test_the_alert_rules_are_those_of_bicep(self):
        def rules(text, quote, separator):
            rule = re.compile(
                rf"display\s*{separator} {quote}([^{quote}]+){quote}\s+description\s*{separator} {quote}([^{quote}]+){quote}"
                rf"\s+severity\s*{separator} (\d).*?dimensions\s*{separator} \[([^]]*)\]",
                re.S,
            )
            return [
                (display, description, severity, re.findall(r"\w+", dimensions))
                for display, description, severity, dimensions in rule.findall(text)
            ]

        expected = rules(bicep("modules/alerts.bicep"), "'", ":")
        self.assertGreater(len(expected), 3)
        self.assertEqual(rules(terraform("alerts.tf"), '"', "="), expected)
        metrics = re.findall(r"metric: '(\w+)'", bicep("modules/alerts.bicep"))
        self.assertEqual(re.findall(r'metric      = "(\w+)"', terraform("alerts.tf")), metrics)

    def test_the_knobs_of_the_questions_exist(self):
        text = terraform("alerts.tf")
        knobs = re.findall(r'replace\(.*?questions\["([\w-]+)"\], "(let [^"]+;)"', text)
        self.assertEqual(len(knobs), 3)
        for question, knob in knobs + [("wrong-names", "let onlyStillWrong = false;")]:
            self.assertIn(knob, text)
            self.assertIn(knob + "\n", (INFRA / "queries" / f"{question}.kql").read_text())


if __name__ == "__main__":
    unittest.main()
