//! Generation looks at older instructions again only after a loss; here it is held against one that always looks at all.

#[path = "../../../tests/plan_support/model.rs"]
mod model;

use model::{Edit, Element, edited, elements, xml};
use proptest::prelude::*;

use super::*;
use crate::process::parse::parse;

fn definition(elements: &[Element]) -> ProcessDefinition {
    parse(&xml(elements)).expect("a model").remove(0)
}

/// As spec-migration §2.3 says it, word by word.
fn by_the_word(source: &ProcessDefinition, target: &ProcessDefinition, update: bool) -> Vec<Resolved> {
    let found = Instructions::new(source.activities.len(), target.activities.len());
    let mut generation = Generation { source, target, update_event_triggers: update, found, lost_some: false };
    scopes(&mut generation, ScopeRef::Process, ScopeRef::Process);
    filter(&mut generation, Rules::All);
    generation.found.iter().copied().collect()
}

fn filter(generation: &mut Generation<'_>, rules: Rules) {
    let all: Vec<usize> = generation.found.places().collect();
    generation.keep_valid(&all, rules);
}

fn scopes(generation: &mut Generation<'_>, from: ScopeRef, to: ScopeRef) {
    let (source, target) = (generation.source, generation.target);
    let events: Vec<ActivityIx> = source.events_of(from).collect();
    let target_events: Vec<ActivityIx> = target.events_of(to).collect();
    let mut flow = Vec::new();
    for (candidates, others, is_flow) in
        [(source.scope_children(from), target.scope_children(to), true), (&events, target_events.as_slice(), false)]
    {
        let equal = |id: &str| others.iter().copied().find(|ix| target.activity(*ix).id == id);
        for instruction in generation.matches(candidates, equal) {
            let place = generation.found.add(instruction);
            if is_flow {
                flow.push(place);
            }
        }
    }
    filter(generation, Rules::WithoutInnerActivities);
    for place in flow {
        if let Some(pair) = generation.found.get(place).copied() {
            scopes(generation, ScopeRef::Activity(pair.source), ScopeRef::Activity(pair.target));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn looking_again_only_after_a_loss_gives_the_same_plan(
        elements in elements(),
        edits in prop::collection::vec(any::<Edit>(), 0..6),
        update in any::<bool>(),
    ) {
        let (source, target) = (definition(&elements), definition(&edited(elements, &edits)));
        let expected: Vec<_> = by_the_word(&source, &target, update).iter().map(|i| instruction(i, &source, &target)).collect();
        let found = match generate(&source, &target, update, None) {
            Ok(plan) => plan.instructions,
            Err(invalid) => invalid.plan.instructions,
        };
        prop_assert_eq!(found, expected);
    }
}
