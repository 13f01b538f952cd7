use proptest::prelude::*;
use serde_json::json;

use super::relative::BASE;
use super::*;
use crate::process::instance::{Execution, Variable};
use crate::process::unknown::Unknown;
use crate::process::value::TypedValue;

const ID: &str = "01a22be5-ab04-74bb-be00-24d500000000";
const OWN: &str = "01a22be5-ab04-74bb-be00-24d50000002a";
const OTHER: &str = "01a22be5-ab04-74bb-be00-24d6ffffffff";
const DEFINITION: &str = "order:1:01a22be5-aaf0-7043-925d-721600000000";
const ROW: RowIds<'_> = RowIds { id: ID, definition_id: DEFINITION };

fn instance() -> Instance {
    let execution = |id: &str, parent: Option<&str>| Execution { id: id.into(), parent: parent.map(Into::into), ..Execution::default() };
    Instance {
        v: DOCUMENT_VERSION,
        id: ID.into(),
        definition_id: DEFINITION.into(),
        executions: vec![execution(ID, None), execution(OWN, Some(ID))],
        ..Instance::default()
    }
}

/// With this text wherever a document may hold one.
fn holding(text: &str) -> Instance {
    let mut instance = instance();
    instance.business_key = Some(text.to_owned());
    instance.other.insert(text.to_owned(), json!({ text: [text, 1] }));
    instance.variables.push(Variable {
        id: text.to_owned(),
        name: text.to_owned(),
        execution_id: OWN.into(),
        task_id: None,
        definition_id: DEFINITION.into(),
        history_definition_id: "order:2:x".into(),
        created: 7,
        concurrent_local: false,
        value: TypedValue::string(text),
        other: Unknown::default(),
    });
    instance
}

#[test]
fn ids_are_relative_to_the_row() {
    let mut instance = instance();
    instance.executions[1].called_instance = Some(OTHER.into());
    instance.start_activity = Some(format!("a~b:{OWN}"));
    let expected = format!(
        r#"{{"v":2,"id":"~0","definitionId":"~!","startedAt":0,"startActivity":"a~~b:~2a","ids":0,"executions":[{{"id":"~0"}},{}],"open":[]}}"#,
        format_args!(r#"{{"id":"~2a","parent":"~0","calledInstance":"{OTHER}"}}"#)
    );
    assert_eq!(write(&instance).unwrap(), expected);
    assert_eq!(read(&expected, ROW).unwrap(), instance);
}

#[test]
fn what_has_no_numbered_id_keeps_its_ids() {
    let mut instance = holding("~0");
    let row = RowIds { id: "case-1", definition_id: "d" };
    (instance.id, instance.definition_id) = (row.id.into(), row.definition_id.into());
    let text = write(&instance).unwrap();
    assert!(text.contains(OWN) && text.contains("case-1"), "{text}");
    assert_eq!(read(&text, row).unwrap(), instance);
}

#[test]
fn an_ordinary_document_is_read_without_a_detour() {
    let mut ordinary = holding("an order");
    ordinary.other.clear();
    let object = TypedValue {
        info: json!({"objectTypeName": "com.example.Order", "serializationDataFormat": "application/json"}),
        ..TypedValue::string("{}")
    };
    for value in [TypedValue::string("x"), TypedValue::integer(-7), TypedValue::boolean(true), TypedValue::null(), object] {
        ordinary.variables[0].value = value;
        let text = write(&ordinary).unwrap();
        assert_eq!(as_written(&text, ROW), Some(ordinary.clone()), "{text}");
    }
    for value in [json!(0.5), json!(-0.0), json!(u64::MAX), json!([1]), json!({"a": {}})] {
        ordinary.variables[0].value = TypedValue::new("Object", value);
        let text = write(&ordinary).unwrap();
        assert_eq!(as_written(&text, ROW), None, "{text}");
        assert_eq!(read(&text, ROW).unwrap(), ordinary);
    }
}

#[test]
fn what_may_be_sought_in_the_text_is_in_it() {
    for text in ["approve", "the order", "Activity_of_which_the_name_is_very_long_indeed"] {
        assert!(is_as_it_is(text) && write(&holding(text)).unwrap().contains(&format!("\"{text}\"")), "{text}");
    }
    for text in ["a~b", DEFINITION, OWN, &format!("_{OWN}"), &format!("{OWN}\"")] {
        assert!(!is_as_it_is(text), "{text}");
    }
}

#[test]
fn a_document_of_the_first_version_is_read_as_it_is() {
    let old = Instance { v: 1, ..holding("~5 ~! ~~ ~") };
    let text = serde_json::to_string(&old).unwrap();
    let new = Instance { v: DOCUMENT_VERSION, ..old.clone() };
    assert_eq!(read(&text, ROW).unwrap(), new);
    assert_eq!(write(&old).unwrap(), write(&new).unwrap(), "it is written in this version");
}

#[test]
fn what_cannot_be_read_says_why() {
    let text = write(&instance()).unwrap();
    let refused = |text: &str, row| read(text, row).unwrap_err().to_string();
    for wrong in ["~", "~x", "~123456789", "~ 2a"] {
        let reason = refused(&text.replace("~2a", wrong), ROW);
        assert!(reason.contains("where an id of its own is meant"), "{wrong}: {reason}");
    }
    assert!(refused(&text, RowIds { id: "case-1", ..ROW }).contains("where an id of its own is meant"));
    assert!(refused(&text.replace(r#""v":2"#, r#""v":3"#), ROW).contains("is newer than this program's 2"));
    let moved = text.replace(r#""v":2,"#, "").replace(r#","open""#, r#","v":2,"open""#);
    assert_eq!(refused(&moved, ROW), "its version 2 does not stand at its beginning");
    assert_eq!(refused(r#"{"v":2,"id":"~0"}"#, ROW), "it has no execution");
    assert!(refused("{", ROW).contains("EOF"));
    for (right, wrong) in [
        (r#""ids":0"#, r#""ids":00"#),
        (r#""ids":0"#, r#""ids":-0"#),
        (r#""ids":0,"#, r#""ids":0"#),
        ("},{", "}{"),
        (r#""open":[]"#, r#""open":[,]"#),
        (r#""open":[]"#, r#""open":[],"#),
        ("[{", "[,{"),
        ("}]", "},]"),
    ] {
        assert!(text.contains(right), "{right}");
        assert!(matches!(read(&text.replace(right, wrong), ROW), Err(Unreadable::Json(_))), "{wrong}");
    }
}

#[test]
fn what_a_person_has_had_written_anew_is_read() {
    let (old, new) = (Instance { v: 1, ..holding("~0") }, holding("~0"));
    for text in [serde_json::to_string(&old).unwrap(), write(&new).unwrap()] {
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read(&serde_json::to_string_pretty(&value).unwrap(), ROW).unwrap(), new);
    }
    let mut value = serde_json::to_value(&old).unwrap();
    let version = value.as_object_mut().unwrap().shift_remove("v").unwrap();
    value["v"] = version;
    assert_eq!(read(&value.to_string(), ROW).unwrap(), new, "an early one, wherever its version stands");
}

proptest! {
    #[test]
    fn any_text_is_read_as_it_was_written(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("~".to_owned()), Just("!".to_owned()), Just("0".to_owned()), Just(ID.to_owned()), Just(OWN.to_owned()), Just(OTHER.to_owned()),
                Just(DEFINITION.to_owned()), Just(OWN[..BASE].to_owned()), Just("\n".to_owned()), Just("\"\\".to_owned()), "\\PC{0,3}",
            ],
            0..6,
        ),
    ) {
        let instance = holding(&pieces.concat());
        prop_assert_eq!(read(&write(&instance).unwrap(), ROW).unwrap(), instance);
    }
}
