//! What holds for every model and every plan: nothing panics, generated plans are valid or fall under the one known quirk,
//! validation does not depend on the order of instructions.

#[path = "plan_support/model.rs"]
mod model;

use std::collections::BTreeSet;
use std::path::Path;

use model::{Edit, Element, edited, xml};
use proptest::prelude::*;
use shared::migration::{MigrationInstruction, MigrationPlan, generate, validate_plan};
use shared::process::definition::{ProcessDefinition, ScopeRef};
use shared::process::parse::parse;

fn definition(elements: &[Element], id: &str) -> ProcessDefinition {
    let text = xml(elements);
    let mut all = parse(&text).unwrap_or_else(|report| panic!("{}\n{text}", report.message("process.bpmn")));
    let mut definition = all.remove(0);
    definition.id = id.to_owned();
    definition
}

/// Recorded models, to be mutilated.
fn recorded() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/models/plan");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect("the models").map(|e| e.expect("a model").path()).collect();
    files.sort();
    files.iter().map(|f| std::fs::read_to_string(f).expect("a model")).collect()
}

/// FINDINGS 2: when the last pass drops a multi-instance body, a boundary event on it stays, and the plan is refused for it.
fn is_known_quirk(failures: &[String]) -> bool {
    failures.iter().all(|f| f.starts_with("The source activity's event scope (") && f.contains("#multiInstanceBody) must be mapped"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,400}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_bytes_between_tags_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let inside = String::from_utf8_lossy(&bytes);
        let _ = parse(&format!("<definitions xmlns=\"http://www.omg.org/spec/BPMN/20100524/MODEL\"><process id=\"p\" isExecutable=\"true\">{inside}</process></definitions>"));
    }

    #[test]
    fn mutilated_models_are_read_or_refused(
        which in any::<prop::sample::Index>(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4_u8), 1..6),
    ) {
        let models = recorded();
        let mut text = which.get(&models).clone();
        for (from, to, how) in cuts {
            let (from, to) = (boundary(&text, from), boundary(&text, to));
            let (from, to) = (from.min(to), from.max(to));
            match how {
                0 => text.replace_range(from..to, ""),
                1 => { let piece = text[from..to].to_owned(); text.insert_str(from, &piece); }
                2 => text.insert_str(from, "<userTask id=\"new\"/>"),
                _ => { let piece = text[from..to].to_owned(); text.replace_range(from..to, ""); let at = text.len() / 2; let at = (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0); text.insert_str(at, &piece); }
            }
        }
        if let Ok(definitions) = parse(&text) {
            for definition in &definitions {
                let _ = generate(definition, definition, true, None);
            }
        }
    }

    #[test]
    fn a_plan_onto_the_same_definition_maps_ids_to_themselves(elements in model::elements(), update in any::<bool>()) {
        let p = definition(&elements, "p");
        match generate(&p, &p, update, None) {
            Ok(plan) => {
                let mut sources = BTreeSet::new();
                for instruction in &plan.instructions {
                    prop_assert_eq!(&instruction.source_activity_id, &instruction.target_activity_id);
                    prop_assert!(sources.insert(instruction.source_activity_id.clone()));
                }
                // A user task is mapped wherever all scopes around it are.
                for activity in p.activities.iter().filter(|a| a.type_name == "userTask") {
                    let mapped = |s: ScopeRef| s == ScopeRef::Process || sources.contains(&Some(p.scope_id(s).to_owned()));
                    let around = p.ancestors(ScopeRef::Activity(p.find(&activity.id).expect("itself"))).all(mapped);
                    prop_assert_eq!(around, sources.contains(&Some(activity.id.clone())), "{}", &activity.id);
                }
            }
            Err(invalid) => prop_assert!(invalid.report.instructions.iter().all(|r| is_known_quirk(&r.failures)), "{}", invalid.message()),
        }
    }

    #[test]
    fn a_generated_plan_is_valid_or_falls_under_the_known_quirk(
        elements in model::elements(),
        edits in proptest::collection::vec(any::<Edit>(), 0..5),
        update in any::<bool>(),
    ) {
        let (p, q) = (definition(&elements, "p"), definition(&edited(elements, &edits), "q"));
        match generate(&p, &q, update, None) {
            Ok(plan) => {
                prop_assert!(validate_plan(&plan, &p, &q).is_empty());
                for i in &plan.instructions {
                    prop_assert_eq!(&i.source_activity_id, &i.target_activity_id);
                }
            }
            Err(invalid) => prop_assert!(invalid.report.instructions.iter().all(|r| is_known_quirk(&r.failures)), "{}", invalid.message()),
        }
    }

    #[test]
    fn validation_of_any_plan_reports_each_instruction_once_and_in_any_order_the_same(
        elements in model::elements(),
        edits in proptest::collection::vec(any::<Edit>(), 0..4),
        picks in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>(), 0..12_u8), 0..12),
    ) {
        let (p, q) = (definition(&elements, "p"), definition(&edited(elements, &edits), "q"));
        let id = |d: &ProcessDefinition, ix: prop::sample::Index| (!d.activities.is_empty()).then(|| ix.get(&d.activities).id.clone());
        let mut seen = BTreeSet::new();
        let mut instructions = Vec::new();
        for (source, target, update, odd) in picks {
            let mut instruction =
                MigrationInstruction { source_activity_id: id(&p, source), target_activity_id: id(&q, target), update_event_trigger: update };
            match odd {
                0 => instruction.source_activity_id = None,
                1 => instruction.target_activity_id = Some("nowhere".to_owned()),
                _ => {}
            }
            // Of several with one source the first one counts: there the order matters.
            if seen.insert(instruction.source_activity_id.clone()) {
                instructions.push(instruction);
            }
        }
        let plan = |instructions: Vec<MigrationInstruction>| MigrationPlan { instructions, ..MigrationPlan::default() };
        let reports = |instructions: Vec<MigrationInstruction>| {
            let mut reports: Vec<String> =
                validate_plan(&plan(instructions), &p, &q).instructions.iter().map(|r| format!("{:?} {:?}", r.instruction, r.failures)).collect();
            let count = reports.len();
            reports.sort();
            reports.dedup();
            (count, reports)
        };
        let (count, forwards) = reports(instructions.clone());
        prop_assert_eq!(count, forwards.len());
        instructions.reverse();
        prop_assert_eq!(forwards, reports(instructions).1);
    }
}

fn boundary(text: &str, index: prop::sample::Index) -> usize {
    let at = index.index(text.len() + 1);
    (0..=at).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}
