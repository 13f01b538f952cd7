//! `/history/process-definition/{id}/statistics`: activity instances of a definition, counted by activity.

use std::collections::BTreeMap;

use axum::extract::Path;
use serde_json::{Value, json};
use shared::process::history::Closed;
use shared::store::query::{HistoryKind, HistoryQuery, InstanceQuery, Page, TenantFilter};

use crate::error::{Answer, ApiError, ok};
use crate::extract::Ask;
use crate::scan;

/// Closed rows read at once.
const PAGE: u64 = 500;

#[derive(Default)]
struct Counted {
    instances: u64,
    canceled: u64,
    finished: u64,
    complete_scope: u64,
    open_incidents: u64,
}

/// What is not asked for counts as zero, as in the reference; activities without any running instance are left out then.
pub(super) async fn of_activities(ask: Ask, Path(id): Path<String>) -> Answer {
    let input = ask.input();
    let (canceled, finished) = (input.yes("canceled")?, input.yes("finished")?);
    let (complete_scope, incidents) = (input.yes("completeScope")?, input.yes("incidents")?);
    let mut found: BTreeMap<String, Counted> = BTreeMap::new();
    let query = InstanceQuery { definition_id: Some(id.clone()), ..InstanceQuery::default() };
    scan::each(&ask, &query, |stored| {
        let i = &stored.instance;
        let leaves = i.open.iter().filter(|a| a.id != i.id && !i.open.iter().any(|below| below.parent.as_ref() == Some(&a.id)));
        leaves.for_each(|a| found.entry(a.activity_id.clone()).or_default().instances += 1);
        if incidents {
            let at = i.incidents.iter().filter_map(|n| n.activity_id.as_ref());
            at.for_each(|activity| found.entry(activity.clone()).or_default().open_incidents += 1);
        }
        Ok(())
    })
    .await?;
    if canceled || finished || complete_scope {
        count_closed(&ask, &id, |activity, was_canceled, was_complete| {
            let counted = found.entry(activity).or_default();
            counted.canceled += u64::from(canceled && was_canceled);
            counted.finished += u64::from(finished && !was_canceled);
            counted.complete_scope += u64::from(complete_scope && was_complete);
        })
        .await?;
    }
    let shown = found.iter().map(|(id, c)| {
        json!({
            "id": id, "instances": c.instances, "canceled": c.canceled, "finished": c.finished, "completeScope": c.complete_scope,
            "openIncidents": c.open_incidents, "resolvedIncidents": 0, "deletedIncidents": 0,
        })
    });
    ok(shown.collect::<Value>())
}

async fn count_closed(ask: &Ask, definition: &str, mut count: impl FnMut(String, bool, bool)) -> Result<(), ApiError> {
    let query = HistoryQuery {
        kind: HistoryKind::Activity,
        instance_id: None,
        definition_id: Some(definition.to_owned()),
        definition_key: None,
        id: None,
        tenants: TenantFilter::default(),
    };
    let mut first = 0;
    loop {
        let page = ask.store().history(&ask.caller, &query, Page { first, max: Some(PAGE) }).await?;
        first += page.len() as u64;
        let last = (page.len() as u64) < PAGE;
        for row in page {
            if let Closed::Activity { record, canceled, complete_scope, .. } = row.closed {
                count(record.activity_id, canceled, complete_scope);
            }
        }
        if last {
            return Ok(());
        }
    }
}
