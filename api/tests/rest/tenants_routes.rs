//! Every route is in the walk of two tenants' callers: the router's own table decides what there is to walk.

use std::collections::BTreeSet;

use crate::{tenants, tenants_batches, tenants_waiting};

/// Routes that show and touch nothing of any tenant.
const OF_NOBODY: [&str; 9] = [
    "GET /engine",
    "GET /version",
    "GET /metrics",
    "GET /metrics/{name}/sum",
    // Its tenant is the request's; what it may be is tested in `nothing_is_deployed_for_another`.
    "POST /deployment/create",
    // Always empty.
    "GET /history/user-operation",
    "GET /history/user-operation/count",
    // There are no decisions.
    "POST /history/decision-instance/delete",
    "POST /history/decision-instance/set-removal-time",
];

/// "METHOD /path/{id}" of every route, out of the router's debug form: axum gives its table in no other way.
pub fn table() -> BTreeSet<String> {
    let text = format!("{:?}", api::routes::all());
    let (routes, node) = text.split_once("node: Node { paths: {").expect("the router shows its paths");
    let mut table = BTreeSet::new();
    let paths = node.split_once('}').map_or(node, |_| node);
    for part in routes.split("RouteId(").skip(1) {
        let Some((id, router)) = part.split_once("): MethodRouter") else { continue };
        let path = paths.split_once(&format!("RouteId({id}): \"")).and_then(|(_, rest)| rest.split_once('"')).expect("a path").0;
        for method in ["get", "delete", "post", "put", "patch"] {
            let (_, endpoint) = router.split_once(&format!("{method}: ")).expect("a method router shows its methods");
            if !endpoint.starts_with("None") {
                table.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    assert!(table.len() > 150, "the router's table is read wrongly: {text}");
    table
}

/// Is `what`, a walked request, one of this route?
fn is_of(what: &str, route: &str) -> bool {
    let what = what.split('?').next().unwrap_or_default();
    let (walked, template): (Vec<&str>, Vec<&str>) = (what.split('/').collect(), route.split('/').collect());
    walked.len() == template.len() && walked.iter().zip(&template).all(|(part, of)| part == of || of.starts_with('{'))
}

/// The most literal route that a request is of: `/job/retries` is not `/job/{id}`.
fn route_of<'a>(what: &str, table: &'a BTreeSet<String>) -> Option<&'a String> {
    table.iter().filter(|route| is_of(what, route)).min_by_key(|route| route.matches('{').count())
}

#[test]
fn every_route_is_walked_by_another_tenant() {
    let table = table();
    let mut left = table.clone();
    for route in OF_NOBODY {
        assert!(left.remove(route), "{route} is not in the router's table any more");
    }
    let walked = [tenants::walked(), tenants_waiting::walked(), tenants_batches::walked()].concat();
    for what in &walked {
        let route = route_of(what, &table).unwrap_or_else(|| panic!("{what} is of no route"));
        left.remove(route);
    }
    assert!(left.is_empty(), "routes that no test walks as another tenant: {left:#?}");
}
