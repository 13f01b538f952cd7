use std::collections::HashMap;

use super::*;

#[derive(Default)]
struct Known {
    variables: HashMap<String, TypedValue>,
    calls: Vec<String>,
}

impl ExpressionContext for Known {
    fn variable(&self, name: &str) -> Option<TypedValue> {
        self.variables.get(name).cloned()
    }

    fn property(&self, object: &str, name: &str) -> Option<TypedValue> {
        matches!((object, name), ("execution" | "processInstance", "currentActivityId")).then(|| TypedValue::string(format!("{object}'s")))
    }

    fn call(&mut self, object: &str, method: &str, args: &[TypedValue]) -> Result<TypedValue, String> {
        let args: Vec<String> = args.iter().map(|a| format!("{} {}", a.kind, a.value)).collect();
        self.calls.push(format!("{object}.{method}({})", args.join(", ")));
        Ok(TypedValue::null())
    }
}

fn known() -> Known {
    let mut known = Known::default();
    for (name, value) in [
        ("way", TypedValue::integer(1)),
        ("who", TypedValue::string("mary")),
        ("again", TypedValue::boolean(true)),
        ("nothing", TypedValue::null()),
        ("list", TypedValue::new("Object", serde_json::json!(["a", "b"]))),
    ] {
        known.variables.insert(name.to_owned(), value);
    }
    known
}

fn value(text: &str) -> Result<TypedValue, String> {
    evaluate(&Expression::new(text), &mut known())
}

#[track_caller]
fn check(text: &str, kind: &str, expected: serde_json::Value) {
    assert_eq!(value(text), Ok(TypedValue::new(kind, expected)), "{text}");
}

#[test]
fn values_keep_their_type_and_mixtures_are_text() {
    check("plain", "String", "plain".into());
    check("${way}", "Integer", 1.into());
    check("#{who}", "String", "mary".into());
    check("a-${way}-${who}", "String", "a-1-mary".into());
    check("a${nothing}b", "String", "ab".into());
    check("${nothing}", "Null", serde_json::Value::Null);
    check(r"\${who}-${way}", "String", "${who}-1".into());
    check("${list[1]}", "String", "b".into());
}

#[test]
fn operators_are_those_of_the_reference() {
    for text in [
        "${way == 1}",
        "${way eq '1'}",
        "${!again == false}",
        "${way < 2 and way >= 1}",
        "${way gt 0 && not (way lt 1) || nope}",
        "${who != 'john'}",
        "${empty nothing}",
        "${nothing == null}",
        "${!(nothing < 1)}",
        "${way + 1 * 2 == 3}",
        "${(way + 1) * 2 == 4}",
        "${3 / 2 == 1.5}",
        "${7 mod 4 == 3}",
        "${-way < 0}",
        "${again ? way == 1 : false}",
        "${who.startsWith('ma')}",
        "${list.size() == 2}",
        "${1 == 1.0}",
    ] {
        assert_eq!(value(text), Ok(TypedValue::boolean(true)), "{text}");
    }
    check("${way + 1}", "Long", 2.into());
    check("${4 / 2}", "Double", 2.0.into());
}

#[test]
fn objects_have_properties_and_methods() {
    check("${execution.currentActivityId}", "String", "execution's".into());
    check("${execution.getCurrentActivityId()}", "String", "execution's".into());
    check("${execution.processInstance.currentActivityId}", "String", "processInstance's".into());
    let mut cx = known();
    for text in [
        "${execution.setVariable('a', 1)}",
        "${execution.getProcessInstance().setVariable('heard', 'start')}",
        "${task.setPriority(99)}",
        "${task.execution.setVariable('x', execution.currentActivityId)}",
    ] {
        evaluate(&Expression::new(text), &mut cx).expect(text);
    }
    let expected = [
        r#"execution.setVariable(String "a", Long 1)"#,
        r#"processInstance.setVariable(String "heard", String "start")"#,
        "task.setPriority(Long 99)",
        r#"execution.setVariable(String "x", String "execution's")"#,
    ];
    assert_eq!(cx.calls, expected);
}

#[test]
fn what_is_not_there_is_named() {
    let message = |text| value(text).expect_err(text);
    assert_eq!(message("${ok}"), "Unknown property used in expression: ${ok}. Cause: Cannot resolve identifier 'ok'");
    assert_eq!(message("KEY${in}"), "Unknown property used in expression: KEY${in}. Cause: Cannot resolve identifier 'in'");
    assert_eq!(
        message("${who.foo()}"),
        "Unknown method used in expression: ${who.foo()}. Cause: Cannot find method foo in class java.lang.String"
    );
    assert!(message("${who").starts_with("Error while parsing '${who'"));
    assert!(message("${1 +}").contains("a value is missing"));
    assert!(message("${who + 1}").contains("Cannot coerce 'mary' from java.lang.String to java.lang.Long"));
}

#[test]
fn a_condition_is_a_boolean() {
    let holds = |text: &str| evaluate_condition(&Expression::new(text), &mut known());
    assert_eq!(holds("${again}"), Ok(true));
    assert_eq!(holds("${nothing}"), Err("condition expression returns null: result is null".to_owned()));
    assert_eq!(
        holds("${who}"),
        Err("condition expression returns non-Boolean: result has class java.lang.String and not java.lang.Boolean".to_owned())
    );
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = format!("${{{}1{}}}", "(".repeat(1000), ")".repeat(1000));
    assert!(value(&deep).expect_err("deep").contains("nested more than"));
    let chain = format!("${{1{}}}", "+1".repeat(1000));
    assert!(value(&chain).expect_err("a chain").contains("nested more than"));
    let long = format!("${{'{}'}}", "x".repeat(MAX_EXPRESSION_CHARS));
    assert!(value(&long).expect_err("long").contains("longer than"));
}

#[test]
fn a_constant_becomes_a_literal() {
    let quoted = Expression::new(r"it's \ so").or_literal();
    assert_eq!(evaluate(&quoted, &mut known()), Ok(TypedValue::string(r"it's \ so")));
}
