//! Tenants see what is theirs and what is nobody's; who may only read changes nothing.

use super::*;
use crate::store::query::{DefinitionQuery, DeploymentQuery, JobDefinitionQuery};

async fn deploy_for(store: &SqlStore, caller: &Caller, tenant: Option<&str>) -> DefinitionView {
    let new = NewDeployment { tenant_id: tenant.map(str::to_owned), ..deployment("d", &[("process.bpmn", bpmn("order", ASYNC_TASK))]) };
    store.deploy(caller, new).await.expect("a deployment").definitions.remove(0)
}

pub async fn tenants_do_not_see_each_other(store: &SqlStore) {
    let (red, blue) = (of_tenant("red"), of_tenant("blue"));
    let of_red = deploy_for(store, &red, Some("red")).await;
    let of_blue = deploy_for(store, &blue, Some("blue")).await;
    deploy_for(store, &anyone(), None).await;
    let foreign = NewDeployment { tenant_id: Some("blue".into()), ..deployment("x", &[]) };
    assert!(matches!(store.deploy(&red, foreign).await, Err(Error::Forbidden(_))));
    for (caller, count) in [(&red, 2), (&blue, 2), (&anyone(), 3)] {
        assert_eq!(store.count_definitions(caller, &DefinitionQuery::default()).await.expect("a count"), count);
        assert_eq!(store.count_deployments(caller, &DeploymentQuery::default()).await.expect("a count"), count);
        assert_eq!(store.count_job_definitions(caller, &JobDefinitionQuery::default()).await.expect("a count"), count);
    }
    let id = store.start(&red, new_instance(&of_red.id, None, vec![])).await.expect("a start").instance_id;
    assert_eq!(document(store, &id).await.instance.tenant_id.as_deref(), Some("red"));
    assert!(matches!(store.start(&blue, new_instance(&of_red.id, None, vec![])).await, Err(Error::Forbidden(_))));
    assert!(store.instance(&blue, &id).await.expect("a read").is_none());
    assert_eq!(store.count_instances(&blue, &InstanceQuery::default()).await.expect("a count"), 0);
    assert_eq!(store.count_instances(&red, &InstanceQuery::default()).await.expect("a count"), 1);
    let delete = || Command::Delete { reason: None, skip_custom_listeners: false, skip_io_mappings: false };
    assert!(store.command(&blue, &id, delete()).await.expect("a command").is_none());
    assert!(!store.set_instance_suspended(&blue, &id, true).await.expect("a suspension"));
    assert!(!store.set_definition_suspended_state(&blue, &of_red.id, true, true).await.expect("a suspension"));
    assert!(!store.delete_definition(&blue, &of_red.id, true).await.expect("a deletion"));
    assert!(!store.delete_deployment(&blue, &of_red.deployment_id, true).await.expect("a deletion"));
    assert!(store.definition_xml(&blue, &of_red.id).await.expect("a read").is_none());
    assert!(store.resources(&blue, &of_red.deployment_id).await.expect("a read").is_empty());
    store.command(&red, &id, delete()).await.expect("a command").expect("its own");
    let ended = HistoryQuery {
        kind: HistoryKind::Instance,
        instance_id: Some(id),
        definition_id: None,
        definition_key: None,
        id: None,
        tenants: TenantFilter::default(),
    };
    assert_eq!(store.count_history(&blue, &ended).await.expect("a count"), 0);
    assert_eq!(store.count_history(&red, &ended).await.expect("a count"), 1);
    assert!(store.delete_definition(&blue, &of_blue.id, false).await.expect("a deletion"));
}

pub async fn who_may_only_read_changes_nothing(store: &SqlStore) {
    let reader = Caller { user: Some("rita".into()), read_only: true, ..anyone() };
    let definition = deploy(store, "order", TWO_TASKS).await;
    let id = start(store, &definition.id, vec![]).await.instance_id;
    let delete = Command::Delete { reason: None, skip_custom_listeners: false, skip_io_mappings: false };
    fn forbidden<T>(result: Result<T, Error>) {
        assert!(matches!(result, Err(Error::Forbidden(_))), "it was not refused");
    }
    forbidden(store.deploy(&reader, deployment("d", &[])).await);
    forbidden(store.start(&reader, new_instance(&definition.id, None, vec![])).await);
    forbidden(store.start_many(&reader, vec![]).await);
    forbidden(store.command(&reader, &id, delete).await);
    forbidden(store.set_instance_suspended(&reader, &id, true).await);
    forbidden(store.set_definition_suspended_state(&reader, &definition.id, true, true).await);
    forbidden(store.delete_definition(&reader, &definition.id, true).await);
    forbidden(store.delete_deployment(&reader, &definition.deployment_id, true).await);
    forbidden(store.fetch_and_lock(&reader, "w", &[], 1, false).await);
    forbidden(store.set_process_job_definition_suspended(&reader, "x", true, true).await);
    forbidden(store.set_process_job_definition_priority(&reader, "x", None, true).await);
    let plan = crate::migration::MigrationPlan::default();
    forbidden(store.migrate(&reader, std::slice::from_ref(&id), None, &plan, Default::default()).await);
    let cancel = Command::Modify { instructions: vec![], skip_custom_listeners: false, skip_io_mappings: false };
    forbidden(store.modify(&reader, &definition.id, std::slice::from_ref(&id), cancel).await);
    assert_eq!(store.instance(&reader, &id).await.expect("a read").expect("an instance").revision, 1);
}
