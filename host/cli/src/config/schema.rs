//! Checks a TOML document against a JSON Schema, keeping the place of everything it finds.
//!
//! One mechanism for the host's own tables (schemas from the settings' structs) and for each plugin's `config` table (the schema
//! that the plugin exports). It knows the part of JSON Schema that such schemas use; a keyword it does not know constrains nothing
//! here, and serde or the plugin's own `configure` still refuses what is left.

use super::finding::{Finding, Place};
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use toml_edit::{Item, TableLike, Value as TomlValue};

/// The keywords that bound a number.
const BOUNDS: [&str; 4] = ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"];

/// A check in progress: the schema with its definitions, and what was found so far.
pub struct Checker<'a> {
    root: &'a Value,
    findings: Vec<Finding>,
}

/// What a check yields: the document as JSON with every default filled in, and what was found.
pub struct Checked {
    pub value: Value,
    pub findings: Vec<Finding>,
}

/// Checks `item`, whose dotted path is `path` and which stands at `place`, against `schema`.
pub fn check(schema: &Value, item: &Item, path: &str, place: Place) -> Checked {
    let mut checker = Checker { root: schema, findings: Vec::new() };
    let value = checker.item(schema, item, path, place);
    Checked { value, findings: checker.findings }
}

/// Returns the JSON of a TOML item, without any check. Times, and numbers that are none, have no place in a configuration: they become text.
fn to_json(item: &Item) -> Value {
    if let Some(table) = item.as_table_like() {
        return table.iter().map(|(key, item)| (key.to_owned(), to_json(item))).collect::<Map<_, _>>().into();
    }
    if let Some(tables) = item.as_array_of_tables() {
        return tables.iter().map(|table| to_json(&Item::Table(table.clone()))).collect();
    }
    match item.as_value() {
        Some(TomlValue::String(text)) => text.value().clone().into(),
        Some(TomlValue::Integer(number)) => (*number.value()).into(),
        Some(TomlValue::Float(number)) => {
            Number::from_f64(*number.value()).map_or_else(|| number.value().to_string().into(), Value::Number)
        }
        Some(TomlValue::Boolean(truth)) => (*truth.value()).into(),
        Some(TomlValue::Datetime(time)) => time.value().to_string().into(),
        Some(TomlValue::Array(array)) => array.iter().map(|value| to_json(&Item::Value(value.clone()))).collect(),
        Some(TomlValue::InlineTable(_)) | None => Value::Null,
    }
}

fn type_name(item: &Item) -> &'static str {
    if item.is_table_like() {
        return "object";
    }
    match item.as_value() {
        _ if item.is_array_of_tables() => "array",
        Some(TomlValue::String(_)) => "string",
        Some(TomlValue::Integer(_)) => "integer",
        Some(TomlValue::Float(_)) => "number",
        Some(TomlValue::Boolean(_)) => "boolean",
        Some(TomlValue::Datetime(_)) => "time",
        Some(TomlValue::Array(_)) => "array",
        Some(TomlValue::InlineTable(_)) | None => "object",
    }
}

/// Names a JSON Schema type as a TOML author would.
fn spoken(kind: &str) -> &str {
    match kind {
        "object" => "a table",
        "array" => "a list",
        "string" => "a text in quotes",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        other => other,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl<'a> Checker<'a> {
    /// Follows `$ref`s and single-branch `allOf`s to the schema that says something.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        // A schema that refers to itself would turn for ever: no real one nests this deep.
        for _ in 0..32 {
            let next = if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
                name.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer))
            } else {
                match schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
                    Some([only]) => Some(only),
                    _ => None,
                }
            };
            match next {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema
    }

    fn error(&mut self, place: Place, path: &str, problem: String) {
        self.findings.push(Finding::error(place, path, problem));
    }

    fn item(&mut self, schema: &'a Value, item: &Item, path: &str, place: Place) -> Value {
        let schema = self.resolve(schema);
        if let Some(branches) = branches(schema) {
            return self.branches(branches, item, path, place);
        }
        if !self.type_fits(schema, item, path, place) {
            return to_json(item);
        }
        if let Some(table) = item.as_table_like() {
            return self.table(schema, table, path, place);
        }
        if type_name(item) == "array" {
            return self.array(schema, item, path, place);
        }
        self.scalar(schema, item, path, place)
    }

    fn type_fits(&mut self, schema: &Value, item: &Item, path: &str, place: Place) -> bool {
        let allowed: Vec<&str> = match schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect(),
            _ => return true,
        };
        let found = type_name(item);
        if allowed.contains(&found) || (found == "integer" && allowed.contains(&"number")) {
            return true;
        }
        let wanted = allowed.iter().map(|kind| spoken(kind)).collect::<Vec<_>>().join(" or ");
        self.error(place, path, format!("{} is {}; {wanted} is wanted", shown(item), spoken(found)));
        false
    }

    fn scalar(&mut self, schema: &Value, item: &Item, path: &str, place: Place) -> Value {
        let value = to_json(item);
        let allowed: Vec<&Value> = match (schema.get("enum"), schema.get("const")) {
            (Some(Value::Array(many)), _) => many.iter().filter(|value| !value.is_null()).collect(),
            (_, Some(one)) => vec![one],
            _ => Vec::new(),
        };
        if !allowed.is_empty() && !allowed.contains(&&value) {
            self.error(place, path, format!("{} is not allowed; allowed: {}", shown(item), list(&allowed)));
        }
        // A whole number may stand where a fraction is meant: its bounds may be none.
        let has_fractions = BOUNDS.iter().any(|key| schema.get(*key).is_some_and(|bound| integer(bound).is_none()));
        match value.as_i64() {
            Some(number) if !has_fractions => self.range(schema, number, path, place),
            _ => value.as_f64().into_iter().for_each(|number| self.range_of_fraction(schema, number, path, place)),
        }
        if let Some(text) = value.as_str() {
            let length = text.chars().count();
            let bound = |key: &str| {
                schema.get(key).and_then(Value::as_u64).map(|bound| usize::try_from(bound).unwrap_or(usize::MAX))
            };
            if bound("minLength").is_some_and(|min| length < min) || bound("maxLength").is_some_and(|max| length > max)
            {
                let (min, max) = (bound("minLength").unwrap_or(0), bound("maxLength"));
                let max = max.map_or_else(|| "more".to_owned(), |max| max.to_string());
                self.error(place, path, format!("{} has {length} characters; {min} to {max} are allowed", shown(item)));
            }
        }
        value
    }

    fn range(&mut self, schema: &Value, number: i64, path: &str, place: Place) {
        let bound = |key: &str| schema.get(key).and_then(integer);
        let min = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|min| min + 1));
        let max = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|max| max - 1));
        let number = i128::from(number);
        if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
            let allowed = match (min, max) {
                (Some(min), Some(max)) => format!("{min} to {max}"),
                (Some(min), None) => format!("{min} or more"),
                (None, Some(max)) => format!("{max} or less"),
                (None, None) => return,
            };
            self.error(place, path, format!("{number} is out of range; allowed: {allowed}"));
        }
    }

    /// The same for a number that is not whole.
    fn range_of_fraction(&mut self, schema: &Value, number: f64, path: &str, place: Place) {
        let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
        let [min, above, max, below] = BOUNDS.map(bound);
        let low = min.is_some_and(|min| number < min) || above.is_some_and(|above| number <= above);
        let high = max.is_some_and(|max| number > max) || below.is_some_and(|below| number >= below);
        if low || high {
            let allowed = if let (Some(min), Some(max)) = (min, max) {
                format!("{min} to {max}")
            } else {
                let words = [("at least", min), ("more than", above), ("at most", max), ("less than", below)];
                let words = words.iter().filter_map(|(word, bound)| Some(format!("{word} {}", (*bound)?)));
                words.collect::<Vec<_>>().join(" and ")
            };
            self.error(place, path, format!("{number} is out of range; allowed: {allowed}"));
        }
    }

    fn array(&mut self, schema: &'a Value, item: &Item, path: &str, place: Place) -> Value {
        let items: Vec<(Item, Place)> = if let Some(tables) = item.as_array_of_tables() {
            tables.iter().map(|table| (Item::Table(table.clone()), Place::of(table.span()).or(place))).collect()
        } else {
            let values = item.as_array().into_iter().flatten();
            values.map(|value| (Item::Value(value.clone()), Place::of(value.span()).or(place))).collect()
        };
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
        let count = items.len() as u64;
        if bound("minItems").is_some_and(|min| count < min) || bound("maxItems").is_some_and(|max| count > max) {
            let max = bound("maxItems").map_or_else(|| "more".to_owned(), |max| max.to_string());
            let min = bound("minItems").unwrap_or(0);
            self.error(place, path, format!("the list has {count} entries; {min} to {max} are allowed"));
        }
        let Some(each) = schema.get("items") else { return to_json(item) };
        let numbered = items.iter().enumerate();
        numbered.map(|(index, (item, place))| self.item(each, item, &format!("{path}[{index}]"), *place)).collect()
    }

    fn table(&mut self, schema: &'a Value, table: &dyn TableLike, path: &str, place: Place) -> Value {
        let properties: BTreeMap<&str, &'a Value> =
            properties_of(schema).map(|(name, property)| (name.as_str(), property)).collect();
        let closed = ["additionalProperties", "unevaluatedProperties"]
            .iter()
            .any(|key| schema.get(*key) == Some(&Value::Bool(false)));
        let mut out = Map::new();
        for (name, item) in table.iter() {
            let place = key_place(table, name, item).or(place);
            let path = join(path, name);
            if let Some(schema) = properties.get(name) {
                out.insert(name.to_owned(), self.item(schema, item, &path, place));
            } else if let Some(schema) = schema.get("additionalProperties").filter(|more| more.is_object()) {
                out.insert(name.to_owned(), self.item(schema, item, &path, place));
            } else if closed {
                let known: Vec<&str> = properties.keys().copied().collect();
                self.error(place, &path, unknown_key(&known, name));
            } else {
                out.insert(name.to_owned(), to_json(item));
            }
        }
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in properties.into_iter().filter(|(name, _)| !table.contains_key(name)) {
            if let Some(value) = self.absent(property, required.contains(&name), &join(path, name), place) {
                out.insert(name.to_owned(), value);
            }
        }
        Value::Object(out)
    }

    /// Returns the value of a key that the document does not have, where it has a default; a required one is missing.
    fn absent(&mut self, schema: &'a Value, required: bool, path: &str, place: Place) -> Option<Value> {
        let resolved = self.resolve(schema);
        match schema.get("default").or_else(|| resolved.get("default")) {
            Some(Value::Null) => None,
            Some(default) if default.is_object() && resolved.get("properties").is_some() => {
                Some(self.absent_table(resolved, default, path, place))
            }
            Some(default) => {
                if !default.is_object() {
                    self.findings.push(Finding::default_used(place, path, default.to_string()));
                }
                Some(default.clone())
            }
            None if required => {
                let wanted = self.wanted(schema);
                self.error(place, path, format!("is missing; {wanted} is wanted"));
                None
            }
            None => None,
        }
    }

    /// Fills in a table of defaults, each key named on its own.
    fn absent_table(&mut self, schema: &'a Value, default: &Value, path: &str, place: Place) -> Value {
        let before = self.findings.len();
        let filled = self.table(schema, &toml_edit::Table::new(), path, place);
        if self.findings[before..].iter().any(Finding::is_error) {
            // The keys have no defaults of their own: the table has one as a whole.
            self.findings.truncate(before);
            return default.clone();
        }
        filled
    }

    /// Says what a schema allows, in words.
    fn wanted(&self, schema: &'a Value) -> String {
        let schema = self.resolve(schema);
        if let Some(Value::Array(many)) = schema.get("enum") {
            return format!("one of {}", list(&many.iter().collect::<Vec<_>>()));
        }
        if let Some(branches) = branches(schema) {
            let words: Vec<String> = branches.iter().map(|branch| self.wanted(branch)).collect();
            return words.join(" or ");
        }
        if let Some(value) = schema.get("const") {
            return value.to_string();
        }
        let kind = schema.get("type").and_then(Value::as_str).map_or("a value", spoken);
        match (schema.get("minimum").and_then(integer), schema.get("maximum").and_then(integer)) {
            (Some(min), Some(max)) => format!("{kind} from {min} to {max}"),
            _ => kind.to_owned(),
        }
    }

    /// Chooses the branch that the author meant, and reports against that one alone.
    fn branches(&mut self, branches: &'a [Value], item: &Item, path: &str, place: Place) -> Value {
        let branches: Vec<&'a Value> = branches
            .iter()
            .map(|branch| self.resolve(branch))
            .filter(|branch| branch.get("type") != Some(&"null".into()))
            .collect();
        if let [only] = branches[..] {
            return self.item(only, item, path, place);
        }
        let Some(table) = item.as_table_like() else {
            return self.scalar_branches(&branches, item, path, place);
        };
        // An enum with a tag: the key that every branch fixes to one text.
        if let Some(tag) = tag_of(&branches) {
            let allowed: Vec<&Value> =
                branches.iter().filter_map(|branch| branch.pointer(&format!("/properties/{tag}/const"))).collect();
            let path_of_tag = join(path, tag);
            let Some(found) = table.get(tag) else {
                self.error(place, &path_of_tag, format!("is missing; allowed: {}", list(&allowed)));
                return to_json(item);
            };
            let value = to_json(found);
            let chosen =
                branches.iter().find(|branch| branch.pointer(&format!("/properties/{tag}/const")) == Some(&value));
            return match chosen {
                Some(branch) => self.table(branch, table, path, place),
                None => {
                    let place = key_place(table, tag, found).or(place);
                    self.error(
                        place,
                        &path_of_tag,
                        format!("{} is not allowed; allowed: {}", shown(found), list(&allowed)),
                    );
                    to_json(item)
                }
            };
        }
        // No tag: the branch that knows the most of the keys, and misses the fewest.
        let score = |branch: &&&Value| {
            let known = table
                .iter()
                .filter(|(key, _)| branch.pointer("/properties").is_some_and(|all| all.get(*key).is_some()))
                .count();
            let missing =
                branch.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            (known, std::cmp::Reverse(missing.filter(|key| !table.contains_key(key)).count()))
        };
        match branches.iter().max_by_key(score) {
            Some(branch) => self.item(branch, item, path, place),
            None => to_json(item),
        }
    }

    fn scalar_branches(&mut self, branches: &[&'a Value], item: &Item, path: &str, place: Place) -> Value {
        let value = to_json(item);
        let constants: Vec<&Value> = branches
            .iter()
            .flat_map(|branch| match (branch.get("const"), branch.get("enum")) {
                (Some(one), _) => vec![one],
                (_, Some(Value::Array(many))) => many.iter().collect(),
                _ => Vec::new(),
            })
            .collect();
        if constants.contains(&&value) {
            return value;
        }
        let free = branches.iter().find(|branch| {
            branch.get("const").is_none()
                && branch.get("enum").is_none()
                && branch.get("type").and_then(Value::as_str) == Some(type_name(item))
        });
        match free {
            Some(branch) => self.item(branch, item, path, place),
            None => {
                let wanted = branches.iter().map(|branch| self.wanted(branch)).collect::<Vec<_>>().join(", ");
                self.error(place, path, format!("{} is not allowed; allowed: {wanted}", shown(item)));
                value
            }
        }
    }
}

fn properties_of(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn branches(schema: &Value) -> Option<&[Value]> {
    schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array).map(Vec::as_slice)
}

fn tag_of<'a>(branches: &[&'a Value]) -> Option<&'a str> {
    let first = branches.first()?.get("properties")?.as_object()?;
    let fixed = |branch: &Value, key: &str| branch.pointer(&format!("/properties/{key}/const")).is_some();
    first.keys().map(String::as_str).find(|key| branches.iter().all(|branch| fixed(branch, key)))
}

fn integer(value: &Value) -> Option<i128> {
    value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from)).or_else(|| {
        // schemars writes the bounds of 64-bit integers as floats where they do not fit.
        let text = value.to_string();
        text.strip_suffix(".0").unwrap_or(&text).parse().ok()
    })
}

fn key_place(table: &dyn TableLike, name: &str, item: &Item) -> Place {
    let key = table.get_key_value(name).and_then(|(key, _)| key.span());
    Place::of(key.or_else(|| item.span()))
}

fn list(values: &[&Value]) -> String {
    values.iter().map(|value| value.to_string()).collect::<Vec<_>>().join(", ")
}

/// Shows an offending value, cut to a length that fits a line.
fn shown(item: &Item) -> String {
    let text = match item.as_value() {
        Some(value) => value.to_string().trim().to_owned(),
        None => "this table".to_owned(),
    };
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn unknown_key(known: &[&str], name: &str) -> String {
    let close = known.iter().map(|key| (strsim::damerau_levenshtein(key, name), key)).min();
    match close {
        Some((distance, key)) if distance <= 1 + name.len() / 4 => format!("is not a known key; did you mean `{key}`?"),
        _ => format!("is not a known key; known here: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Settings {
        #[schemars(range(min = 1, max = 12))]
        difficulty: u32,
        #[serde(default)]
        preset: Preset,
        retarget: Retarget,
        #[serde(default)]
        time: Time,
        note: Option<String>,
        #[serde(default)]
        schedule: Vec<Step>,
    }

    #[derive(Deserialize, Serialize, JsonSchema, Default)]
    #[serde(rename_all = "kebab-case")]
    enum Preset {
        #[default]
        Development,
        Production,
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(tag = "rule", deny_unknown_fields, rename_all = "kebab-case")]
    enum Retarget {
        Interval { interval: u32 },
        Asert { half_life: u64 },
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct Time {
        #[serde(default = "eleven")]
        median_window: u32,
    }

    #[derive(Deserialize, Serialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Step {
        height: u64,
    }

    impl Default for Time {
        fn default() -> Self {
            Self { median_window: eleven() }
        }
    }

    fn eleven() -> u32 {
        11
    }

    #[track_caller]
    fn finds(text: &str, want: &Expect) {
        let schema = serde_json::to_value(schemars::schema_for!(Settings)).unwrap();
        let document = toml_edit::Document::parse(text).unwrap();
        let checked = check(&schema, document.as_item(), "", Place::TOP);
        let shown: Vec<String> = checked.findings.iter().map(|finding| finding.show("chain.toml", text)).collect();
        want.assert_eq(&format!("{}\n{}\n", shown.join("\n"), checked.value));
    }

    #[test]
    fn what_is_not_written_is_named_with_the_value_used() {
        finds(
            "difficulty = 4\nretarget = { rule = \"interval\", interval = 10 }\n",
            &expect![[r#"
                default: chain.toml:1: `preset` is not set; "development" is used
                default: chain.toml:1: `schedule` is not set; [] is used
                default: chain.toml:1: `time.median-window` is not set; 11 is used
                {"difficulty":4,"preset":"development","retarget":{"interval":10,"rule":"interval"},"schedule":[],"time":{"median-window":11}}
            "#]],
        );
    }

    #[test]
    fn a_wrong_value_comes_with_the_allowed_ones() {
        finds(
            "difficulty = 13\npreset = \"pol\"\n[retarget]\nrule = \"interval\"\ninterval = \"ten\"\n[time]\nmedian-window = 3\n[[schedule]]\nheight = 4\n",
            &expect![[r#"
                error: chain.toml:1: `difficulty` 13 is out of range; allowed: 1 to 12
                    1 | difficulty = 13
                error: chain.toml:2: `preset` "pol" is not allowed; allowed: "development", "production"
                    2 | preset = "pol"
                error: chain.toml:5: `retarget.interval` "ten" is a text in quotes; a whole number is wanted
                    5 | interval = "ten"
                {"difficulty":13,"preset":"pol","retarget":{"interval":"ten","rule":"interval"},"schedule":[{"height":4}],"time":{"median-window":3}}
            "#]],
        );
    }

    #[test]
    fn a_number_that_is_not_whole_keeps_its_bounds() {
        #[derive(Deserialize, JsonSchema)]
        struct Fraction {
            #[schemars(range(min = 0.5, max = 1e9))]
            ratio: f64,
        }
        let schema = serde_json::to_value(schemars::schema_for!(Fraction)).unwrap();
        let read = |text: &str| {
            let checked = check(&schema, toml_edit::Document::parse(text).unwrap().as_item(), "", Place::TOP);
            let problem = checked.findings.first().map(|finding| finding.problem.clone());
            problem.map_or_else(|| Ok(serde_json::from_value::<Fraction>(checked.value).unwrap().ratio), Err)
        };
        assert_eq!(read("ratio = 0.75"), Ok(0.75));
        assert_eq!(read("ratio = 1024"), Ok(1024.0));
        assert_eq!(read("ratio = 0.25"), Err("0.25 is out of range; allowed: 0.5 to 1000000000".to_owned()));
        assert_eq!(read("ratio = 0"), Err("0 is out of range; allowed: 0.5 to 1000000000".to_owned()));
    }

    #[test]
    fn an_unknown_key_comes_with_the_one_that_was_meant() {
        finds(
            "dificulty = 3\n[retarget]\nrule = \"asert\"\nhalflife = 3\n[[schedule]]\nheight = 4\nheigth = 3\n",
            &expect![[r#"
                error: chain.toml:1: `dificulty` is not a known key; did you mean `difficulty`?
                    1 | dificulty = 3
                error: chain.toml:4: `retarget.halflife` is not a known key; did you mean `half_life`?
                    4 | halflife = 3
                error: chain.toml:2: `retarget.half_life` is missing; a whole number is wanted
                    2 | [retarget]
                error: chain.toml:7: `schedule[0].heigth` is not a known key; did you mean `height`?
                    7 | heigth = 3
                error: chain.toml:1: `difficulty` is missing; a whole number from 1 to 12 is wanted
                default: chain.toml:1: `preset` is not set; "development" is used
                default: chain.toml:1: `time.median-window` is not set; 11 is used
                {"preset":"development","retarget":{"rule":"asert"},"schedule":[{"height":4}],"time":{"median-window":11}}
            "#]],
        );
    }

    #[test]
    fn a_tag_that_is_missing_or_wrong_comes_with_the_known_ones() {
        finds(
            "difficulty = 1\nretarget = { rule = \"dgw\" }\n",
            &expect![[r#"
            error: chain.toml:2: `retarget.rule` "dgw" is not allowed; allowed: "interval", "asert"
                2 | retarget = { rule = "dgw" }
            default: chain.toml:1: `preset` is not set; "development" is used
            default: chain.toml:1: `schedule` is not set; [] is used
            default: chain.toml:1: `time.median-window` is not set; 11 is used
            {"difficulty":1,"preset":"development","retarget":{"rule":"dgw"},"schedule":[],"time":{"median-window":11}}
        "#]],
        );
        finds(
            "difficulty = 1\nretarget = {}\n",
            &expect![[r#"
            error: chain.toml:2: `retarget.rule` is missing; allowed: "interval", "asert"
                2 | retarget = {}
            default: chain.toml:1: `preset` is not set; "development" is used
            default: chain.toml:1: `schedule` is not set; [] is used
            default: chain.toml:1: `time.median-window` is not set; 11 is used
            {"difficulty":1,"preset":"development","retarget":{},"schedule":[],"time":{"median-window":11}}
        "#]],
        );
    }
}
