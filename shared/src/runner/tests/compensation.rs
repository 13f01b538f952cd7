//! What finished activities leave behind, and undoing it.

use super::bench::{Bench, check, flows};
use crate::process::instance::SubscriptionKind;

const UNDO: &str = "<boundaryEvent id='cb' attachedToRef='a'><compensateEventDefinition/></boundaryEvent><userTask id='h' isForCompensation='true'/>\
                    <association id='as' associationDirection='One' sourceRef='cb' targetRef='h'/>";
const THROW: &str = "<intermediateThrowEvent id='t'><compensateEventDefinition/></intermediateThrowEvent>";

fn compensations(bench: &Bench) -> Vec<&str> {
    bench.instance.subscriptions.iter().filter(|s| s.kind == SubscriptionKind::Compensate).map(|s| s.activity_id.as_str()).collect()
}

#[test]
fn a_finished_activity_can_be_undone() {
    let xml =
        format!("<startEvent id='s'/><userTask id='a'/><userTask id='b'/>{THROW}<userTask id='c'/>{UNDO}") + &flows("s->a a->b b->t t->c");
    let mut bench = check(&xml, &[("", "p(a)"), ("a", "p(b)")]);
    assert_eq!(compensations(&bench), ["h"]);
    bench.complete("b");
    assert_eq!(bench.tree(), "p(h t)");
    bench.complete("h");
    assert_eq!(bench.tree(), "p(c)");
    assert_eq!(bench.instance.executions.len(), 1);
}

#[test]
fn a_finished_scope_is_remembered_with_what_is_in_it() {
    let inside = format!("<startEvent id='uS'/><userTask id='a'/>{UNDO}") + &flows("uS->a");
    let xml = format!("<startEvent id='s'/><subProcess id='u'>{inside}</subProcess><userTask id='b'/>{THROW}<userTask id='c'/>")
        + &flows("s->u u->b b->t t->c");
    let mut bench = check(&xml, &[("", "p(u(a))"), ("a", "p(b)")]);
    assert_eq!(bench.instance.executions.iter().filter(|e| e.is_event_scope).count(), 1);
    assert_eq!(compensations(&bench), ["h", "u"]);
    bench.complete("b");
    assert_eq!(bench.tree(), "p(t u(h))");
    bench.complete("h");
    assert_eq!(bench.tree(), "p(c)");
    assert_eq!(bench.instance.executions.len(), 1);
}

#[test]
fn every_instance_of_a_body_is_undone() {
    let loops = "<multiInstanceLoopCharacteristics><loopCardinality>2</loopCardinality></multiInstanceLoopCharacteristics>";
    let xml = format!("<startEvent id='s'/><userTask id='a'>{loops}</userTask><userTask id='b'/>{THROW}<userTask id='c'/>{UNDO}")
        + &flows("s->a a->b b->t t->c");
    let mut bench = Bench::started(&xml);
    bench.complete("a");
    bench.complete("a");
    bench.complete("b");
    assert_eq!(bench.tree(), "p(a#multiInstanceBody(h h) t)");
    bench.complete("h");
    bench.complete("h");
    assert_eq!(bench.tree(), "p(c)");
    assert_eq!(bench.instance.executions.len(), 1);
}

#[test]
fn a_cancelled_transaction_undoes_what_it_did() {
    let inside = format!("<startEvent id='uS'/><userTask id='a'/><endEvent id='ce'><cancelEventDefinition/></endEvent>{UNDO}")
        + &flows("uS->a a->ce");
    let xml = format!(
        "<startEvent id='s'/><transaction id='u'>{inside}</transaction><userTask id='x'/>\
         <boundaryEvent id='bo' attachedToRef='u'><cancelEventDefinition/></boundaryEvent>"
    ) + &flows("s->u bo->x");
    check(&xml, &[("", "p(u(a))"), ("a", "p(u(ce h))"), ("h", "p(x)"), ("x", "ended")]);
}
