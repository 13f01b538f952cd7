//! Plays what the reference engine answered to `/migration/generate`, `/migration/validate` and to plans that it refused,
//! without a server: the recorded models are parsed, the plans generated and validated, the answers compared.
//!
//! Left out are the steps that are about HTTP, tenants, unknown definitions or the conversion of values: they need a server.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use shared::migration::{MigrationInstruction, MigrationPlan, PlanReport, generate, validate_plan};
use shared::process::definition::ProcessDefinition;
use shared::process::parse::parse;
use shared::process::value::TypedValue;

/// There must be at least as many steps to compare as there were when the conversations were recorded.
const STEPS: usize = 1_500;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

/// Every case, in an order of its own.
fn cases(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the cases") {
        let path = entry.expect("a case").path();
        if path.is_dir() {
            cases(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Definitions by the `${name}` that the case gives them, which is their id too: then recorded answers need no filling in.
type Deployed = HashMap<String, ProcessDefinition>;

fn deploy(step: &Json, deployed: &mut Deployed) {
    let mut xml = match step.get("xml") {
        Some(xml) => xml.as_str().expect("text").to_owned(),
        None => std::fs::read_to_string(golden().join("models").join(step["deploy"].as_str().expect("a file")))
            .expect("a model")
            .replace("__KEY__", "KEY"),
    };
    for (old, new) in step.get("replace").and_then(Json::as_object).into_iter().flatten() {
        assert!(xml.contains(old.as_str()), "{old} is not in {}", step["deploy"]);
        xml = xml.replace(old.as_str(), new.as_str().expect("text"));
    }
    let definitions = parse(&xml).unwrap_or_else(|report| panic!("{}", report.message("process.bpmn")));
    let alone = definitions.len() == 1;
    let name = format!("${{{}}}", step.get("as").and_then(Json::as_str).unwrap_or("v"));
    for mut definition in definitions {
        if alone || definition.key == "KEY" {
            definition.id.clone_from(&name);
            deployed.insert(name.clone(), definition);
        }
    }
}

fn variables(plan: &Json) -> Option<Vec<(String, TypedValue)>> {
    let variables = plan.get("variables")?.as_object()?;
    let value = |v: &Json| TypedValue {
        kind: v["type"].as_str().unwrap_or_default().to_owned(),
        value: v["value"].clone(),
        info: v["valueInfo"].clone(),
        transient: false,
    };
    Some(variables.iter().map(|(name, v)| (name.clone(), value(v))).collect())
}

/// None where the body is not what a plan looks like.
fn plan(body: &Json) -> Option<MigrationPlan> {
    let mut instructions = Vec::new();
    for instruction in body["instructions"].as_array()? {
        let first = |name: &str| instruction[name].as_array().and_then(|ids| ids.first()).filter(|id| id.is_string() || id.is_null());
        let id = |id: &Json| id.as_str().map(str::to_owned);
        instructions.push(MigrationInstruction {
            source_activity_id: id(first("sourceActivityIds")?),
            target_activity_id: id(first("targetActivityIds")?),
            // What else counts as true is for whoever reads JSON.
            update_event_trigger: match &instruction["updateEventTrigger"] {
                Json::Null => false,
                given => given.as_bool()?,
            },
        });
    }
    let id = |name: &str| body[name].as_str().map(str::to_owned);
    Some(MigrationPlan {
        source_definition_id: id("sourceProcessDefinitionId")?,
        target_definition_id: id("targetProcessDefinitionId")?,
        instructions,
        variables: variables(body),
    })
}

fn instruction(i: &MigrationInstruction) -> Json {
    json!({"sourceActivityIds": [i.source_activity_id], "targetActivityIds": [i.target_activity_id], "updateEventTrigger": i.update_event_trigger})
}

fn report(report: &PlanReport) -> Json {
    let instructions: Vec<Json> =
        report.instructions.iter().map(|r| json!({"instruction": instruction(&r.instruction), "failures": r.failures})).collect();
    let variables: serde_json::Map<_, _> = report.variables.iter().map(|r| (r.name.clone(), json!(r.failures))).collect();
    json!({"instructionReports": instructions, "variableReports": variables})
}

/// A recorded report, with only the failures of its variables.
fn recorded_report(report: &Json) -> Json {
    let variables = report["variableReports"].as_object().expect("variable reports");
    let failures: serde_json::Map<_, _> = variables.iter().map(|(name, r)| (name.clone(), r["failures"].clone())).collect();
    json!({"instructionReports": report["instructionReports"], "variableReports": failures})
}

/// Arrays in an order of their own, unless the order is part of the answer.
fn comparable(mut value: Json, ordered: bool) -> Json {
    if !ordered {
        for name in ["instructions", "instructionReports"] {
            if let Some(Json::Array(items)) = value.get_mut(name) {
                items.sort_by_key(Json::to_string);
            }
        }
    }
    value
}

/// What we answer to a step: the body, and the recorded body to compare it with; None if the step is not for us.
fn answer(step: &Json, deployed: &Deployed) -> Option<(Json, Json)> {
    let (call, body, expect) = (step["call"].as_str()?, &step["body"], &step["expect"]);
    let recorded = &expect["body"];
    let message = recorded["message"].as_str().unwrap_or_default();
    let plan_body = if body.get("migrationPlan").is_some() { &body["migrationPlan"] } else { body };
    let definition = |name: &str| deployed.get(plan_body[name].as_str().unwrap_or_default());
    let (source, target) = (definition("sourceProcessDefinitionId")?, definition("targetProcessDefinitionId")?);
    let refused = message.starts_with("ENGINE-23001");
    // A refusal of the instance comes after the plan was found valid.
    let accepted = matches!(expect["status"].as_u64(), Some(200 | 204)) || message.starts_with("ENGINE-23004");
    if !accepted && !refused || step.get("raw").is_some() {
        return None;
    }
    match call {
        "POST /migration/generate" => {
            let update = body["updateEventTriggers"].as_bool().unwrap_or(false);
            Some(match generate(source, target, update, variables(body)) {
                Ok(plan) => {
                    let instructions: Vec<Json> = plan.instructions.iter().map(instruction).collect();
                    (json!({"instructions": instructions}), json!({"instructions": recorded["instructions"]}))
                }
                Err(invalid) => (json!({"message": invalid.message()}), json!({"message": message})),
            })
        }
        "POST /migration/validate" => {
            let found = validate_plan(&plan(plan_body)?, source, target);
            Some((report(&found), recorded_report(recorded)))
        }
        "POST /migration/execute" | "POST /migration/executeAsync" => {
            let plan = plan(plan_body)?;
            let found = validate_plan(&plan, source, target);
            if !refused {
                return Some((report(&found), json!({"instructionReports": [], "variableReports": {}})));
            }
            let mut ours = report(&found);
            let mut theirs = recorded_report(&recorded["validationReport"]);
            // Where several instructions fail the recording leaves the message out, for its order is arbitrary.
            if recorded["message"].is_string() {
                ours["message"] = found.message(&plan).into();
                theirs["message"] = recorded["message"].clone();
            }
            Some((ours, theirs))
        }
        _ => None,
    }
}

#[test]
fn plans_are_generated_and_validated_as_recorded() {
    let (mut compared, mut problems) = (0, Vec::new());
    let mut files = Vec::new();
    cases(&golden().join("cases"), &mut files);
    files.sort();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a case").replace("__KEY__", "KEY");
        let case: Json = serde_json::from_str(&text).expect("JSON");
        let mut deployed = Deployed::new();
        for (n, step) in case["steps"].as_array().expect("steps").iter().enumerate() {
            if step.get("deploy").is_some() {
                deploy(step, &mut deployed);
            } else if let Some((ours, recorded)) = answer(step, &deployed) {
                compared += 1;
                let ordered = step["ordered"].as_bool().unwrap_or(false);
                let (ours, recorded) = (comparable(ours, ordered), comparable(recorded, ordered));
                if ours != recorded {
                    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    problems.push(format!("{name}, step {n}:\n  ours     {ours}\n  recorded {recorded}"));
                }
            }
        }
    }
    assert!(problems.is_empty(), "{} of {compared} differ:\n{}", problems.len(), problems.join("\n"));
    assert!(compared >= STEPS, "only {compared} steps were compared");
}
