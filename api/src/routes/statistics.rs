//! Statistics of definitions: how many instances, failed jobs and incidents, by activity or by definition
//! (spec-batch-rest §4.5, FINDINGS 16).

use std::collections::BTreeMap;

use axum::extract::Path;
use serde_json::{Value, json};
use shared::store::query::{InstanceQuery, Page};
use shared::store::views::StoredInstance;

use super::definition::{Which, named};
use crate::dto::definition as dto;
use crate::error::{Answer, ApiError, ok};
use crate::extract::Ask;
use crate::input::Input;
use crate::scan;

/// What is asked beside the number of instances.
struct Wanted {
    failed_jobs: bool,
    /// Some(None): incidents of every type.
    incidents: Option<Option<String>>,
}

fn wanted(input: &Input<'_>) -> Result<Wanted, ApiError> {
    let (all, of_type) = (input.yes("incidents")?, input.text("incidentsForType")?);
    if all && of_type.is_some() {
        let message = "Only one of the query parameter includeIncidents or includeIncidentsForType can be set.";
        return Err(ApiError::invalid(message));
    }
    let incidents = of_type.map(Some).or(all.then_some(None));
    Ok(Wanted { failed_jobs: input.yes("failedJobs")?, incidents })
}

#[derive(Default)]
struct Counted {
    instances: u64,
    failed_jobs: u64,
    incidents: BTreeMap<String, u64>,
}

impl Counted {
    fn incidents(&self) -> Vec<Value> {
        self.incidents.iter().map(|(of, n)| json!({"incidentType": of, "incidentCount": n})).collect()
    }

    fn incident(&mut self, wanted: &Wanted, of_type: &str) {
        if let Some(only) = &wanted.incidents
            && only.as_ref().is_none_or(|o| o == of_type)
        {
            *self.incidents.entry(of_type.to_owned()).or_default() += 1;
        }
    }
}

pub(super) async fn of_activities(ask: Ask, Path(which): Which) -> Answer {
    let wanted = wanted(&ask.input())?;
    let Ok(definition) = named(&ask, &which).await? else { return ok(json!([])) };
    let query = InstanceQuery { definition_id: Some(definition.id), ..InstanceQuery::default() };
    let mut found: BTreeMap<String, Counted> = BTreeMap::new();
    scan::each(&ask, &query, |stored| {
        count_activities(stored, &wanted, &mut found);
        Ok(())
    })
    .await?;
    let shown = found.iter().map(|(id, counted)| {
        json!({
            "@class": "org.camunda.bpm.engine.rest.dto.repository.ActivityStatisticsResultDto",
            "id": id,
            "instances": counted.instances,
            "failedJobs": counted.failed_jobs,
            "incidents": counted.incidents(),
        })
    });
    ok(shown.collect::<Value>())
}

fn count_activities(stored: &StoredInstance, wanted: &Wanted, found: &mut BTreeMap<String, Counted>) {
    let instance = &stored.instance;
    for at in instance.executions.iter().filter(|e| !e.is_event_scope).filter_map(|e| e.at.as_ref()) {
        found.entry(at.activity_id.clone()).or_default().instances += 1;
    }
    if wanted.failed_jobs {
        for job in instance.jobs.iter().filter(|j| j.retries == 0) {
            found.entry(job.activity_id.clone()).or_default().failed_jobs += 1;
        }
    }
    for incident in &instance.incidents {
        if let Some(activity) = &incident.activity_id {
            found.entry(activity.clone()).or_default().incident(wanted, &incident.incident_type);
        }
    }
}

pub(super) async fn of_definitions(ask: Ask) -> Answer {
    let wanted = wanted(&ask.input())?;
    let mut shown = vec![];
    let query = dto::query(&ask.input())?;
    for definition in ask.store().definitions(&ask.caller, &query, &[], Page::default()).await? {
        let of = InstanceQuery { definition_id: Some(definition.id.clone()), ..InstanceQuery::default() };
        let instances = ask.store().count_instances(&ask.caller, &of).await?;
        let mut counted = Counted { instances, ..Counted::default() };
        if wanted.failed_jobs || wanted.incidents.is_some() {
            let broken = InstanceQuery { with_incident: true, ..of };
            scan::each(&ask, &broken, |stored| {
                if wanted.failed_jobs {
                    counted.failed_jobs += stored.instance.jobs.iter().filter(|j| j.retries == 0).count() as u64;
                }
                stored.instance.incidents.iter().for_each(|i| counted.incident(&wanted, &i.incident_type));
                Ok(())
            })
            .await?;
        }
        shown.push(json!({
            "@class": "org.camunda.bpm.engine.rest.dto.repository.ProcessDefinitionStatisticsResultDto",
            "id": definition.id,
            "instances": counted.instances,
            "failedJobs": counted.failed_jobs,
            "incidents": counted.incidents(),
            "definition": dto::show(&definition),
        }));
    }
    ok(shown.into())
}
