//! The schema of a Compose file, made of the table of attributes.

use serde_json::{Map, Value as Json, json};

use super::own::evenkeel;
use super::{DIALECT, any_of, variable};
use crate::manifest::language::table;
use crate::manifest::language::types::{List, Object, Short, Size, Textual, Type, Unique};

/// The schema of a manifest, an override file and any other Compose file.
///
/// A key that some file must say need not be in each, since files are merged; so no key is required.
pub fn manifest() -> Json {
    let mut definitions = Definitions::default();
    let mut schema = definitions.object(&table::FILE);
    definitions.0.insert("x-evenkeel".to_owned(), evenkeel());
    for object in [Some(&mut schema), definitions.0.get_mut(&slug(table::SERVICE.of))].into_iter().flatten() {
        object["properties"]["x-evenkeel"] = reference("x-evenkeel");
    }
    schema["$schema"] = DIALECT.into();
    schema["title"] = "a Compose file, as Evenkeel reads it".into();
    schema["definitions"] = Json::Object(definitions.0);
    schema
}

/// The mappings, by what they are: each is written out once.
#[derive(Default)]
struct Definitions(Map<String, Json>);

impl Definitions {
    fn of(&mut self, holds: &Type) -> Json {
        match holds {
            Type::Any => Json::Bool(true),
            Type::Text | Type::Formed(_) | Type::Duration | Type::Path(_) | Type::Size(Size::Text) => {
                json!({"type": "string"})
            }
            Type::Word(words) => any_of(vec![json!({"enum": words}), variable()]),
            Type::Textual(textual) => json!({"type": textual_types(*textual)}),
            Type::Flag => json!({"type": ["boolean", "string"]}),
            Type::Truth => any_of(vec![json!({"type": "boolean"}), variable()]),
            Type::Whole(least, most) => whole(*least, *most),
            Type::Unquoted(_) => any_of(vec![json!({"type": "number"}), variable()]),
            Type::Size(Size::Whole) => json!({"type": ["integer", "string"]}),
            Type::Cut(_) | Type::Decimal | Type::Size(Size::Number) => json!({"type": ["number", "string"]}),
            Type::List(list) => self.list(list),
            Type::Map(values) => json!({"type": "object", "additionalProperties": self.of(values)}),
            Type::Pairs(_) => any_of(vec![
                json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}),
                json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
            ]),
            Type::Object(object) => self.definition(object),
            Type::Short(short, long) => self.short(*short, long),
            Type::Maybe(holds) => any_of(vec![self.of(holds), json!({"type": "null"})]),
        }
    }

    fn definition(&mut self, object: &Object) -> Json {
        let name = slug(object.of);
        if !self.0.contains_key(&name) {
            let schema = self.object(object);
            self.0.insert(name.clone(), schema);
        }
        reference(&name)
    }

    fn object(&mut self, object: &Object) -> Json {
        let keys = object.attributes.iter();
        let properties: Map<_, _> =
            keys.map(|attribute| (attribute.name.to_owned(), self.of(&attribute.holds))).collect();
        let mut schema = json!({
            "title": object.of,
            "type": "object",
            "properties": properties,
            "additionalProperties": false,
        });
        if object.extensible {
            schema["patternProperties"] = json!({"^x-": true});
        }
        schema
    }

    fn list(&mut self, list: &List) -> Json {
        let item = self.of(&list.item);
        let mut items = json!({"type": "array", "items": item});
        if list.unique == Unique::Refused {
            items["uniqueItems"] = Json::Bool(true);
        }
        if list.single { any_of(vec![item, items]) } else { items }
    }

    fn short(&mut self, short: Short, long: &Type) -> Json {
        let texts = || json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true});
        let text = || json!({"type": "string"});
        match short {
            Short::Command
            | Short::HealthTest
            | Short::Mount
            | Short::Device
            | Short::Source
            | Short::Build
            | Short::Extends
            | Short::Include => any_of(vec![text(), self.of(long)]),
            Short::EnvFiles => any_of(vec![text(), self.items(long, text())]),
            Short::Ports => self.items(long, json!({"type": ["number", "string"]})),
            Short::Dependencies | Short::Names => any_of(vec![texts(), self.of(long)]),
            Short::Ulimit => any_of(vec![json!({"type": ["integer", "string"]}), self.of(long)]),
            Short::BuildUlimit => any_of(vec![json!({"type": "integer"}), variable(), self.of(long)]),
            Short::Gpus => any_of(vec![json!({"const": "all"}), self.of(long)]),
            Short::External => {
                let named = json!({
                    "type": "object",
                    "properties": {"name": text()},
                    "patternProperties": {"^x-": true},
                    "additionalProperties": false,
                });
                any_of(vec![self.of(long), named])
            }
            Short::Hosts => any_of(vec![
                self.of(long),
                json!({"type": "object", "additionalProperties": any_of(vec![text(), texts()])}),
            ]),
            Short::Keys => any_of(vec![
                self.of(long),
                json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}}),
            ]),
            Short::One => any_of(vec![self.item(long), self.of(long)]),
        }
    }

    /// A list in the long form, whose items can also be written short.
    fn items(&mut self, long: &Type, short: Json) -> Json {
        let item = self.item(long);
        json!({"type": "array", "items": any_of(vec![short, item])})
    }

    fn item(&mut self, long: &Type) -> Json {
        match long.long() {
            Type::List(list) => self.of(&list.item),
            other => self.of(other),
        }
    }
}

fn textual_types(textual: Textual) -> Json {
    match textual {
        Textual::Number | Textual::Mode => json!(["string", "number"]),
        Textual::Whole | Textual::Count => json!(["string", "integer"]),
        Textual::NumberOrNull => json!(["string", "number", "null"]),
        Textual::All => json!(["string", "number", "boolean", "null"]),
        Textual::Flag => json!(["string", "boolean"]),
    }
}

fn whole(least: i64, most: i64) -> Json {
    let mut schema = json!({"type": ["integer", "string"]});
    if least != i64::MIN {
        schema["minimum"] = least.into();
    }
    if most != i64::MAX {
        schema["maximum"] = most.into();
    }
    schema
}

fn reference(name: &str) -> Json {
    json!({"$ref": format!("#/definitions/{name}")})
}

/// `a service` → `service`
fn slug(of: &str) -> String {
    let of = of.trim_start_matches("a ").trim_start_matches("an ").trim_start_matches("the ");
    let words = of.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The objects below a type, each with the name of its definition.
    fn objects(holds: &Type, found: &mut Vec<(String, *const Object)>) {
        match holds.long() {
            Type::List(list) => objects(&list.item, found),
            Type::Map(values) => objects(values, found),
            Type::Object(object) => {
                found.push((slug(object.of), std::ptr::from_ref(*object)));
                object.attributes.iter().for_each(|attribute| objects(&attribute.holds, found));
            }
            _ => {}
        }
    }

    #[test]
    fn no_two_mappings_share_a_definition() {
        let mut found = Vec::new();
        objects(&Type::Object(&table::FILE), &mut found);
        found.sort();
        found.dedup();
        for pair in found.windows(2) {
            assert_ne!(pair[0].0, pair[1].0, "two mappings are called the same");
        }
        assert!(found.len() > 30);
    }
}
